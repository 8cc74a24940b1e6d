"""Silhouette (Rousseeuw 1987): how much closer a document is to its own cluster than to the next one."""

from __future__ import annotations

import numpy as np

BLOCK = 1024  # rows of the distance matrix held at once


def silhouette(
    vectors: np.ndarray,
    labels: np.ndarray,
    *,
    sample: int | None = None,
    seed: int = 0,
    is_cosine: bool = False,
) -> tuple[float, np.ndarray]:
    """Mean silhouette of a seeded sample of documents, in [-1, 1], and the mean of each cluster.

    vectors: (D, E).  labels: (D,) clusters, numbered from 0.  sample: maximum number of documents, compared
    only with one another; None takes all.
    is_cosine: distance is 1 - cosine, else Euclidean.  A cluster of one document counts as 0.
    The means of the clusters are (K,) float64 by label, NaN where the sample holds no document of a cluster.
    Raises ValueError unless the sample holds two clusters and more documents than clusters.
    """
    rows = np.arange(len(vectors))
    if sample is not None and sample < len(rows):
        rows = np.random.default_rng(seed).choice(len(rows), sample, replace=False)
    num_clusters = int(labels.max()) + 1 if len(labels) else 0
    rows = rows[np.argsort(labels[rows], kind="stable")]
    points, labels = np.asarray(vectors[rows], dtype=np.float32), labels[rows]
    found, clusters, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if not 2 <= len(found) < len(rows):
        raise ValueError(
            f"silhouette needs two clusters and more documents than clusters; the sample has {len(found)} in "
            f"{len(rows)} documents"
        )
    means = _mean_distances(points, clusters, sizes, is_cosine)
    places = np.arange(len(rows))
    own = means[places, clusters] * sizes[clusters] / np.maximum(sizes[clusters] - 1, 1)
    means[places, clusters] = np.inf
    other = means.min(axis=1)
    width = np.maximum(own, other)
    values = np.where((sizes[clusters] > 1) & (width > 0), (other - own) / np.where(width > 0, width, 1), 0.0)
    each = np.full(num_clusters, np.nan)
    each[found] = np.bincount(clusters, values) / sizes
    return float(values.mean()), each


def _mean_distances(
    points: np.ndarray, clusters: np.ndarray, sizes: np.ndarray, is_cosine: bool
) -> np.ndarray:
    """Mean distance (S, C) float64 of each point to the points of each cluster, with 0 to itself.

    points: (S, E), sorted by cluster.
    """
    points = points.astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if is_cosine:  # linear in the other point, so the sum of a cluster replaces its points
        points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        means = 1 - points @ np.add.reduceat(points, starts).T / sizes
        to_itself = 1 - np.einsum("ne,ne->n", points, points)  # 1 for a row of 0, else rounding
        means[np.arange(len(points)), clusters] -= to_itself / sizes[clusters]
        return means
    squares = np.einsum("ne,ne->n", points, points)
    means = np.empty((len(points), len(sizes)))
    for start in range(0, len(points), BLOCK):
        block = slice(start, start + BLOCK)
        distances = points[block] @ points.T
        distances *= -2
        distances += squares
        distances += squares[block, None]
        places = np.arange(len(distances))
        distances[places, start + places] = 0
        np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
        means[block] = np.add.reduceat(distances, starts, axis=1) / sizes
    return means
