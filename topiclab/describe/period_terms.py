"""Terms of a topic in a period, of which few documents know."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy import sparse

from topiclab.data.class_tfidf import rarity
from topiclab.describe.ngrams import NgramCounts
from topiclab.describe.redundancy import distinct_terms

MIN_DOCUMENTS = 2  # of a topic in a period, for a term there
PRIOR_DOCUMENTS = 10  # of the topic as a whole that are counted in every period
CANDIDATES = 5  # looked at for each term that is shown


def period_terms(
    counts: NgramCounts,
    cell: np.ndarray,
    sizes: np.ndarray,
    *,
    num: int,
    left_out: Collection[str] = (),
) -> list[list[list[str]]]:
    """K lists of P lists of at most num terms, the best first.

    cell: (D,) topic * P + period of every document.  sizes: (K, P) documents.  left_out: words that are not
    shown, nor pairs of them.
    Scored by c-TF-IDF (Grootendorst 2022): the share of the documents that say a term, as if PRIOR_DOCUMENTS
    more like the topic as a whole were in the period, for the rare words of one of a few documents would come
    first; times `rarity` among the documents. A term needs MIN_DOCUMENTS.
    """
    num_topics, num_periods = sizes.shape
    says = sparse.csr_matrix(counts.matrix > 0, dtype=np.int32)
    ones = np.ones(len(cell), dtype=np.int32)
    to_cell = sparse.csr_matrix((ones, (cell, np.arange(len(cell)))), shape=(sizes.size, len(cell)))
    said = sparse.csr_matrix(to_cell @ says)
    totals = np.bincount(said.indices, said.data, minlength=len(counts.vocab))
    worth = rarity(totals, num_topics)
    worth[left_out_terms(counts, left_out)] = 0
    found = []
    for topic, of_periods in enumerate(sizes):
        rows = said[topic * num_periods : (topic + 1) * num_periods]
        frequencies = np.bincount(rows.indices, rows.data, minlength=len(totals))
        expected = PRIOR_DOCUMENTS * frequencies / max(of_periods.sum(), 1)
        found.append([])
        for period in range(num_periods):
            row = slice(rows.indptr[period], rows.indptr[period + 1])
            columns, documents = rows.indices[row], rows.data[row]
            shares = (documents + expected[columns]) / (of_periods[period] + PRIOR_DOCUMENTS)
            scores = np.where(documents >= MIN_DOCUMENTS, shares * worth[columns], 0)
            ranked = columns[np.lexsort((columns, -scores))[: np.count_nonzero(scores)]][: CANDIDATES * num]
            terms = distinct_terms(counts, ranked, frequencies, num)
            found[-1].append([counts.vocab[term] for term in terms])
    return found


def left_out_terms(counts: NgramCounts, words: Collection[str]) -> np.ndarray:
    """Which terms (N,) are among the words or a pair of them."""
    listed = set(words)
    is_out = np.array([word in listed for word in counts.vocab], dtype=bool)
    return is_out | is_out[counts.parts].all(axis=1)
