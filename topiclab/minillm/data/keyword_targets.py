"""Distributions over the words a document is about, also absent ones: salience, spread by co-occurrence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

SATURATION = 1.2  # BM25's k1: how fast further occurrences of a word stop counting
SHIFT = np.log(5)
BISECTIONS = 40


@dataclass(frozen=True, eq=False)
class KeywordStatistics:
    """Statistics of V words over the training documents.

    idf: (V,).  prior: (V,) shares of the training documents' word counts.
    neighbours: CSR (V, V), for each word a distribution over words that occur near it, or an empty row.
    """

    idf: np.ndarray
    prior: np.ndarray
    neighbours: sparse.csr_matrix

    def salience(self, bow: sparse.csr_matrix) -> sparse.csr_matrix:
        """CSR (D, V): BM25's term frequency without length normalization, times idf; rows sum to 1 or 0."""
        weighted = sparse.csr_matrix(bow, dtype=np.float64)
        saturated = weighted.data * (SATURATION + 1) / (weighted.data + SATURATION)
        weighted.data = saturated * self.idf[weighted.indices]
        return sparse.csr_matrix(normalize(weighted, norm="l1"))

    def diffusion(self, bow: sparse.csr_matrix) -> sparse.csr_matrix:
        """CSR (D, V): neighbours of a document's words, weighted by salience; words without any add none."""
        spread: Any = self.salience(bow) @ self.neighbours
        return sparse.csr_matrix(spread)

    def targets(
        self, bow: sparse.csr_matrix, *, own: float, prior_power: float, perplexity: float
    ) -> sparse.csr_matrix:
        """CSR (D, V), rows sum to 1; empty for a document without words.

        own: share of the document's own words; the rest is diffusion.  prior_power: words are weighted by
        prior ** -prior_power.  perplexity: mean over all rows, approached as far as possible with one
        exponent for all.
        """
        mixed: Any = own * self.salience(bow) + (1 - own) * self.diffusion(bow)
        mixed = sparse.csr_matrix(mixed)
        mixed.eliminate_zeros()
        mixed.data *= np.maximum(self.prior, 1e-12)[mixed.indices] ** -prior_power
        mixed = sparse.csr_matrix(normalize(mixed, norm="l1"))
        logs, low, high = np.log(mixed.data), -4.0, 4.0  # exponents 1/T as powers of e
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            raised = _raised(mixed, logs, np.exp(middle))
            low, high = (middle, high) if _perplexity(raised) > perplexity else (low, middle)
        return _raised(mixed, logs, np.exp((low + high) / 2))


def keyword_statistics(
    bow: sparse.csr_matrix,
    token_ids: np.ndarray,
    token_offsets: np.ndarray,
    train_rows: np.ndarray,
    *,
    window: int,
    min_df: int,
    num_neighbours: int,
) -> KeywordStatistics:
    """Statistics counted on the training documents only.

    bow, token_ids, token_offsets: of the corpus.  window: number of words within which two may be neighbours,
    not counting stop words.  min_df: documents in which a word and its neighbour must each occur.
    num_neighbours: kept per word, those with the largest positive pointwise mutual information minus ln 5.
    """
    train = bow[train_rows]
    df = np.bincount(train.indices, minlength=bow.get_shape()[1])
    counts = np.asarray(train.sum(axis=0), np.float64).ravel()
    idf = np.log1p((len(train_rows) - df + 0.5) / (df + 0.5))
    docs = np.repeat(np.arange(len(token_offsets) - 1), np.diff(token_offsets))
    is_read = np.isin(docs, train_rows) & (token_ids >= 0)
    pairs = _pairs(np.where(is_read, token_ids, -1), docs, window, df >= min_df)
    return KeywordStatistics(idf, counts / counts.sum(), _nearest(pairs, num_neighbours))


def _pairs(tokens: np.ndarray, docs: np.ndarray, window: int, is_frequent: np.ndarray) -> sparse.csr_matrix:
    """CSR (V, V), symmetric: number of times two different words occur in one window of a document."""
    num_words = len(is_frequent)
    known = np.where((tokens >= 0) & is_frequent[tokens], tokens, -1)
    total = sparse.csr_matrix((num_words, num_words))
    for distance in range(1, window):
        left, right = known[:-distance], known[distance:]
        is_pair = (left >= 0) & (right >= 0) & (left != right) & (docs[:-distance] == docs[distance:])
        ones = np.ones(int(is_pair.sum()))
        total = total + sparse.csr_matrix((ones, (left[is_pair], right[is_pair])), total.shape)
    both: Any = total + total.T
    return sparse.csr_matrix(both)


def _nearest(pairs: sparse.csr_matrix, num_neighbours: int) -> sparse.csr_matrix:
    """Softmax over each word's largest shifted positive pointwise mutual informations."""
    table: Any = pairs.tocoo()
    totals = np.asarray(pairs.sum(axis=1)).ravel()
    information = np.log(table.data * totals.sum() / (totals[table.row] * totals[table.col])) - SHIFT
    is_positive = information > 0
    rows, columns, values = table.row[is_positive], table.col[is_positive], information[is_positive]
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = rank < num_neighbours
    nearest = sparse.csr_matrix((np.exp(values[kept]), (rows[kept], columns[kept])), pairs.get_shape())
    return sparse.csr_matrix(normalize(nearest, norm="l1"))


def _raised(matrix: sparse.csr_matrix, logs: np.ndarray, power: float) -> sparse.csr_matrix:
    """Rows raised to a power and renormalized to sum 1; the largest value of a row never underflows."""
    rows = np.repeat(np.arange(matrix.get_shape()[0]), np.diff(matrix.indptr))
    largest = np.full(matrix.get_shape()[0], -np.inf)
    np.maximum.at(largest, rows, logs)
    values = np.exp((logs - largest[rows]) * power)
    raised = sparse.csr_matrix((values, matrix.indices, matrix.indptr), matrix.get_shape())
    return sparse.csr_matrix(normalize(raised, norm="l1"))


def _perplexity(matrix: sparse.csr_matrix) -> float:
    """exp of the mean entropy of the nonempty rows."""
    values = matrix.data[matrix.data > 0]
    num_rows = max(1, int((np.diff(matrix.indptr) > 0).sum()))
    return float(np.exp(-(values * np.log(values)).sum() / num_rows))
