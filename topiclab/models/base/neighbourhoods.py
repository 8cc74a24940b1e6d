"""Views of documents by the words and vectors of their neighbourhoods, for clusters to start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from topiclab.data.neighbours import cosines
from topiclab.data.unit_rows import unit_rows

OWN_SHARE = 0.4  # of a document's own words beside those of its neighbours
POWER = 4.0  # of a neighbour's similarity, relative to the most similar one: weak vectors have few near ones
WORD_DIMS = 100  # singular vectors of the words
DOCS_PER_DIM = 20  # of 240, a hundred are noise: NPMI of ten topics of lee -.020, with 12 +.032
VECTOR_WEIGHT = 0.7  # length of each embedding, where the words have length 1


def neighbourhood_views(vectors: np.ndarray, neighbours: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
    """Words of each document's neighbourhood, its embedding and the mean of the embeddings around it.

    The words are the document's own frequencies and those of its neighbours, each weighted by its relative
    similarity; their square roots, whose distance is Hellinger's, are reduced to singular vectors. k-means of
    such rows on titles of stackoverflow (MiniLM, K=50) has purity .83; of the embeddings .74, of embeddings
    averaged with their neighbours .76. Each of the three parts loses on one corpus if left out.

    vectors: (N, E).  neighbours: (N, k) positions of the nearest rows, the row itself excluded.  bow: (N, V).
    Returns (N, R + 2 E) float32, with R = min(100, N / 20, V - 1) but at least 1.
    """
    centred = unit_rows(vectors - vectors.mean(axis=0))
    words = neighbourhood_graph(centred, neighbours) @ word_frequencies(bow)
    smoothed = smooth(vectors, neighbours)
    return np.hstack(
        [reduced_words(sparse.csr_matrix(words)), VECTOR_WEIGHT * centred, VECTOR_WEIGHT * smoothed]
    )


def neighbourhood_graph(rows: np.ndarray, neighbours: np.ndarray) -> sparse.csr_matrix:
    """Weights (N, N), rows summing to 1: OWN_SHARE on the diagonal, the rest on the neighbours.

    rows: (N, E).
    """
    num_docs, num_neighbours = neighbours.shape
    ones, diagonal = np.ones(num_docs, np.float32), np.arange(num_docs)
    own = sparse.csr_matrix((ones, (diagonal, diagonal)))
    if not num_neighbours:
        return own
    similarity = cosines(rows, rows, neighbours).clip(min=1e-3)  # opposite documents have hardly any weight
    weights = (similarity / similarity.max(axis=1, keepdims=True)) ** POWER
    weights *= (1 - OWN_SHARE) / weights.sum(axis=1, keepdims=True)
    offsets = np.arange(num_docs + 1) * num_neighbours
    shape = (num_docs, num_docs)
    near = sparse.csr_matrix((weights.ravel(), neighbours.ravel(), offsets), shape=shape)
    return sparse.csr_matrix(near + OWN_SHARE * own)


def word_frequencies(bow: sparse.csr_matrix) -> sparse.csr_matrix:
    """Relative frequencies (N, V) float32 of the words of each document; 0 for one without words."""
    lengths = np.maximum(np.asarray(bow.sum(axis=1)).ravel(), 1).astype(np.float32)
    return sparse.csr_matrix(sparse.diags(1 / lengths) @ bow.astype(np.float32))


def reduced_words(words: sparse.csr_matrix) -> np.ndarray:
    """First singular vectors of the square roots of word weights (N, V), centred, as rows of length 1."""
    totals = np.maximum(np.asarray(words.sum(axis=1)).ravel(), np.finfo(np.float32).tiny)
    roots = sparse.csr_matrix(sparse.diags(1 / totals) @ words)
    roots.data = np.sqrt(roots.data)
    num_docs, num_words = roots.get_shape()
    rank = max(1, min(WORD_DIMS, num_docs // DOCS_PER_DIM, num_words - 1))
    options: Any = {"n_iter": 3, "random_state": 0}
    left, values, _ = randomized_svd(roots, rank, **options)
    reduced = (left * values).astype(np.float32)
    return unit_rows(reduced - reduced.mean(axis=0))


def smooth(vectors: np.ndarray, neighbours: np.ndarray, times: int = 1) -> np.ndarray:
    """Unit vectors of the mean over each row and its neighbours, after centring; (N, E) float32.

    times: number of rounds, each averaging the rows of the last.
    """
    rows = unit_rows(vectors - vectors.mean(axis=0))
    num_docs, num_neighbours = neighbours.shape
    offsets = np.arange(num_docs + 1) * num_neighbours
    ones = np.ones(neighbours.size, dtype=np.float32)
    graph = sparse.csr_matrix((ones, neighbours.ravel(), offsets), shape=(num_docs, num_docs))
    for _ in range(times):
        rows = unit_rows(rows + graph @ rows)
    return rows
