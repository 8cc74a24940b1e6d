"""Representative documents of a topic: the nearest to its centroid, and a diverse set to show its breadth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topiclab.data.unit_rows import unit_rows

POOL = 20  # nearest documents considered for each document of a diverse set
BLOCK_BYTES = 1 << 27


@dataclass(frozen=True, eq=False)
class Representatives:
    """Rows of representative documents of K topics, best first; -1 with similarity NaN if a topic has fewer.

    nearest, diverse: (K, num) int64.  nearest_similarity, diverse_similarity: (K, num) float32, cosine to the
    topic's centroid; without vectors, the topic's share of the document.
    """

    nearest: np.ndarray
    nearest_similarity: np.ndarray
    diverse: np.ndarray
    diverse_similarity: np.ndarray


def representatives(
    theta: np.ndarray,
    vectors: np.ndarray | None,
    num: int,
    diversity: float,
    texts: Sequence[str] | None = None,
) -> Representatives:
    """For each topic, the documents nearest to its centroid among those whose main topic it is.

    theta: (D, K).  vectors: (D, E); None, for a model without embeddings, ranks by theta and also compares
    documents by theta.  A centroid is the mean of all unit vectors, weighted by theta.
    diversity: 0..1, penalty on similarity to documents already chosen for the diverse set, picked by maximal
        marginal relevance (Carbonell & Goldstein 1998): (1 - diversity) * similarity to the centroid
        - diversity * largest similarity to a chosen one; among the POOL * num nearest.
    texts: D texts; of identical ones only the first is used.
    """
    num_topics = theta.shape[1]
    units = unit_rows(theta if vectors is None else vectors)
    centroids = unit_rows(theta.T.astype(np.float32) @ units)
    main = theta.argmax(axis=1)
    relevance = theta[np.arange(len(theta)), main] if vectors is None else _cosines(units, centroids, main)
    relevance = relevance.astype(np.float32)
    pool = _pool(relevance, main, num_topics, num * POOL, texts)
    found = [np.full((num_topics, num), -1, dtype=np.int64) for _ in range(2)]
    block = max(1, BLOCK_BYTES // max(1, 4 * pool.shape[1] * units.shape[1]))
    for start in range(0, num_topics, block):
        rows = pool[start : start + block]
        found[0][start : start + block, : rows.shape[1]] = rows[:, :num]
        picked = _marginal(units, relevance, rows, num, diversity)
        found[1][start : start + block, : picked.shape[1]] = picked
    similarity = [np.where(rows >= 0, relevance[rows], np.float32(np.nan)) for rows in found]
    return Representatives(found[0], similarity[0], found[1], similarity[1])


def _cosines(units: np.ndarray, centroids: np.ndarray, main: np.ndarray) -> np.ndarray:
    """Cosine (D,) of every document with the centroid of its main topic, in blocks of documents."""
    cosines = np.empty(len(units), dtype=np.float32)
    block = max(1, BLOCK_BYTES // max(1, 4 * units.shape[1]))
    for start in range(0, len(units), block):
        rows = slice(start, start + block)
        cosines[rows] = np.einsum("de,de->d", units[rows], centroids[main[rows]])
    return cosines


def _pool(
    relevance: np.ndarray, main: np.ndarray, num_topics: int, size: int, texts: Sequence[str] | None
) -> np.ndarray:
    """Rows (K, at most size) of the best documents of each topic, the best first, padded with -1."""
    order = np.lexsort((np.arange(len(main)), -relevance, main))
    starts = np.searchsorted(main[order], np.arange(num_topics + 1))
    pools = []
    for topic in range(num_topics):
        rows = order[starts[topic] : starts[topic + 1]]
        pools.append(rows[:size] if texts is None else _once(rows.tolist(), texts, size))
    pool = np.full((num_topics, max(1, *map(len, pools))), -1, dtype=np.int64)
    for topic, rows in enumerate(pools):
        pool[topic, : len(rows)] = rows
    return pool


def _once(rows: list[int], texts: Sequence[str], size: int) -> list[int]:
    """First `size` rows with distinct texts."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(" ".join(texts[row].split()), row)
        if len(first) == size:
            break
    return list(first.values())


def _marginal(
    units: np.ndarray, relevance: np.ndarray, pool: np.ndarray, num: int, diversity: float
) -> np.ndarray:
    """Rows (n, at most num) picked one by one from the pools (n, P), for n topics at once."""
    vectors = units[pool]
    worth = np.where(pool >= 0, (1 - diversity) * relevance[pool], -np.inf)
    likeness = np.zeros_like(worth)
    topics = np.arange(len(pool))
    picked = np.full((len(pool), min(num, pool.shape[1])), -1, dtype=np.int64)
    for step in range(picked.shape[1]):
        best = (worth - diversity * likeness).argmax(axis=1)
        picked[:, step] = np.where(np.isneginf(worth[topics, best]), -1, pool[topics, best])
        alike = np.einsum("npe,ne->np", vectors, vectors[topics, best])
        likeness = alike if step == 0 else np.maximum(likeness, alike)
        worth[topics, best] = -np.inf
    return picked
