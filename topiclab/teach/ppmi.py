"""Word vectors from co-occurrence in documents, and document vectors from them: no pretrained weights."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds
from sklearn.preprocessing import normalize

from topiclab.data.unit_rows import unit_rows
from topiclab.teach.neighbours import tfidf_bags

CONTEXT_POWER = 0.75


def ppmi_vectors(
    bow: sparse.csr_matrix, train_rows: np.ndarray, dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of all documents (D, E) and all words (V, E) in one space, learnt from the training rows.

    A word's vector is its row of U sqrt(S) of the positive pointwise mutual information of co-occurrence in
    documents (Levy et al. 2015, contexts smoothed by the power .75), of length 1. A document's is the TF-IDF
    weighted mean of its words', less the mean and the first principal direction of the training documents
    (Arora et al. 2017; Mu & Viswanath 2018), of length 1; words are returned as documents of one word.
    E is dim, or less where the vocabulary is too small. A document without known words has the vector 0.
    """
    words = _word_vectors(_ppmi(bow[train_rows]), dim, seed)
    bags = tfidf_bags(bow, train_rows)
    documents = _means(bags, words)
    has_words = np.any(documents, axis=1)
    train = documents[train_rows][has_words[train_rows]].astype(np.float64)
    mean = train.mean(axis=0)
    direction = np.linalg.eigh((train - mean).T @ (train - mean))[1][:, -1]

    def place(vectors: np.ndarray) -> np.ndarray:
        centred = vectors - mean
        centred -= np.outer(centred @ direction, direction)
        return unit_rows(np.where(vectors.any(axis=1, keepdims=True), centred, 0))

    return place(documents), place(words)


def _ppmi(train_bow: sparse.csr_matrix) -> sparse.csr_matrix:
    """log(p(v, c) / (p(v) p_smoothed(c))) where positive, for words that share a document; (V, V) float64."""
    holds = sparse.csr_matrix(train_bow.astype(bool), dtype=np.int64)
    together: Any = sparse.coo_matrix(holds.T @ holds)
    is_pair = together.row != together.col
    rows, columns, counts = together.row[is_pair], together.col[is_pair], together.data[is_pair]
    num_words = holds.get_shape()[1]
    totals = np.bincount(rows, counts, num_words)
    contexts = totals**CONTEXT_POWER
    information = np.log(counts * contexts.sum() / (totals[rows] * contexts[columns]))
    is_positive = information > 0
    return sparse.csr_matrix(
        (information[is_positive], (rows[is_positive], columns[is_positive])), (num_words, num_words)
    )


def _word_vectors(matrix: sparse.csr_matrix, dim: int, seed: int) -> np.ndarray:
    """Rows of U sqrt(S), of length 1 or 0; exact, so the order of documents has no effect."""
    num_words = matrix.get_shape()[0]
    if not matrix.nnz:
        raise ValueError(
            "no two words are in a training document together more often than by chance, so co-occurrence "
            "teaches nothing; give more documents, or use an embedder with teacher=neighbours"
        )
    if dim < num_words:
        start = np.random.default_rng(seed).standard_normal(num_words)
        left, singular = cast(Any, svds(matrix, k=dim, v0=start, solver="arpack"))[:2]
    else:
        left, singular, _ = np.linalg.svd(matrix.toarray(), full_matrices=False)
    is_kept = singular > 1e-6 * singular.max()
    return unit_rows(left[:, is_kept] * np.sqrt(singular[is_kept]))


def _means(bags: sparse.csr_matrix, words: np.ndarray) -> np.ndarray:
    """Weighted mean of the vectors of each bag's words; (D, E), 0 for an empty bag."""
    weights: Any = normalize(bags, norm="l1")
    return np.asarray(weights @ words)
