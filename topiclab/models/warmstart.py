"""Warm start: clusters of neighbour-smoothed embeddings, from which a topic model sets out instead of from
noise.

Short texts give a variational topic model too few words to find its topics before the KL term closes the
posterior
(the collapse that is published for ProdLDA on short text); k-means on the embeddings costs seconds and does
not collapse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans

from topiclab.result import to_distributions


def smooth(vectors: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Unit vectors of the mean over each row and its neighbours, after centring; (N, E) float32."""
    centred = unit_rows(vectors - vectors.mean(axis=0))
    num_docs, num_neighbours = neighbours.shape
    offsets = np.arange(0, num_docs * num_neighbours + 1, num_neighbours)
    ones = np.ones(neighbours.size, dtype=np.float32)
    graph = sparse.csr_matrix((ones, neighbours.ravel(), offsets), shape=(num_docs, num_docs))
    return unit_rows(centred + graph @ centred)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def cluster(vectors: np.ndarray, num_topics: int, seed: int) -> np.ndarray:
    """k-means assignment (N,) int64 of unit vectors, one k-means++ start."""
    options: dict[str, Any] = {"n_init": 1, "max_iter": 30, "random_state": seed}
    return KMeans(num_topics, **options).fit_predict(vectors).astype(np.int64)


def cluster_words(bow: sparse.csr_matrix, assignment: np.ndarray, num_topics: int) -> np.ndarray:
    """Mean word distribution of each cluster's documents, every document counting alike; (K, V) float64.

    An empty cluster, or one whose documents hold no known word, gets the corpus distribution.
    """
    lengths = np.maximum(np.asarray(bow.sum(axis=1)).ravel(), 1)
    members = sparse.csr_matrix(
        (1 / lengths, (assignment, np.arange(len(assignment)))), (num_topics, len(assignment))
    )
    words = sparse.csr_matrix(members @ bow).toarray()
    return to_distributions(words, words.sum(axis=0) / words.sum())
