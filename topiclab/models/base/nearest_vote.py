"""k-nearest-neighbour vote over topic memberships."""

from __future__ import annotations

import numpy as np

from topiclab.data.neighbours import cosines, nearest_neighbours

NUM_NEIGHBOURS = 15


def neighbour_vote(
    queries: np.ndarray, vectors: np.ndarray, memberships: np.ndarray, num_neighbours: int
) -> np.ndarray:
    """Mean membership of each query's nearest rows, weighted by 1 / (1 - cosine); (M, K) float32.

    queries: (M, E).  vectors: (N, E).  memberships: (N, K), rows sum to 1.  A query that is one of the rows
    finds itself and keeps its own membership.
    """
    rows = nearest_neighbours(vectors, num_neighbours, queries)
    weights = 1 / (np.maximum(1 - cosines(queries, vectors, rows), 0) + 1e-6)
    theta = np.zeros((len(rows), memberships.shape[1]), dtype=np.float32)
    for place in range(rows.shape[1]):
        theta += weights[:, place, None] * memberships[rows[:, place]]
    return theta / theta.sum(axis=1, keepdims=True)


def joined_topics(queries: np.ndarray | None, vectors: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Topic of each query by a k-NN vote of its NUM_NEIGHBOURS nearest rows, one-hot; (M, K) float32.

    queries: (M, E).  vectors: (N, E).  members: (N, K) 0/1.  Raises ValueError if queries is None.
    """
    if queries is None:
        raise ValueError("clusters are of embeddings, but the documents have none; choose an embedder")
    votes = neighbour_vote(np.asarray(queries, dtype=np.float32), vectors, members, NUM_NEIGHBOURS)
    return one_hot(votes.argmax(axis=1), members.shape[1])


def one_hot(topics: np.ndarray, num_topics: int) -> np.ndarray:
    """One-hot rows (D, K) float32 of the topics (D,)."""
    rows = np.zeros((len(topics), num_topics), dtype=np.float32)
    rows[np.arange(len(topics)), topics] = 1
    return rows
