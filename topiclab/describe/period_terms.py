"""Terms of a topic in a period, and shares of its documents that have its own terms, from few documents."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy import sparse

from topiclab.data.class_tfidf import rarity
from topiclab.describe.ngrams import NgramCounts
from topiclab.describe.redundancy import distinct_terms

MIN_DOCUMENTS = 2  # of a topic in a period that contain a term, for the term to be shown there
PRIOR_DOCUMENTS = 10  # pseudo-documents of the topic as a whole, counted in every period
CANDIDATES = 5  # considered for each term shown
MIN_CELL = 5  # documents of a topic in a period, for shares among them to be told


def period_terms(
    counts: NgramCounts,
    cell: np.ndarray,
    sizes: np.ndarray,
    *,
    num: int,
    left_out: Collection[str] = (),
) -> list[list[list[str]]]:
    """K lists of P lists of at most num terms, the best first.

    cell: (D,) topic * P + period of every document.  sizes: (K, P) numbers of documents.  left_out: words
    that are not shown, alone or as both words of a pair.
    Scored by c-TF-IDF (Grootendorst 2022): the share of documents that contain a term, as if the period held
    PRIOR_DOCUMENTS more documents like the topic as a whole, since otherwise rare words of single documents
    would come first; times `rarity` among the documents. A term has to occur in MIN_DOCUMENTS.
    """
    num_topics, num_periods = sizes.shape
    said = sparse.csr_matrix(_to_cells(cell, sizes) @ sparse.csr_matrix(counts.matrix > 0, dtype=np.int32))
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


def term_shares(
    counts: NgramCounts, cell: np.ndarray, sizes: np.ndarray, terms: Sequence[Sequence[str]]
) -> list[list[tuple[str, np.ndarray]]]:
    """For each of K topics its terms with the shares (P,) of its documents that have them, by period.

    cell, sizes: as in `period_terms`.  terms: K lists.  NaN where a topic has fewer than MIN_CELL documents.
    """
    column = {term: number for number, term in enumerate(counts.vocab)}
    wanted = sorted({column[term] for of_topic in terms for term in of_topic})
    place = {number: at for at, number in enumerate(wanted)}
    says = sparse.csr_matrix(counts.matrix[:, wanted] > 0, dtype=np.int32)
    said = sparse.csr_matrix(_to_cells(cell, sizes) @ says).toarray().reshape(*sizes.shape, len(wanted))
    totals = np.where(sizes >= MIN_CELL, sizes, np.nan)
    return [
        [(term, said[topic, :, place[column[term]]] / totals[topic]) for term in of_topic]
        for topic, of_topic in enumerate(terms)
    ]


def _to_cells(cell: np.ndarray, sizes: np.ndarray) -> sparse.csr_matrix:
    """Indicator (K * P, D) of the documents in each cell."""
    ones = np.ones(len(cell), dtype=np.int32)
    return sparse.csr_matrix((ones, (cell, np.arange(len(cell)))), shape=(sizes.size, len(cell)))


def left_out_terms(counts: NgramCounts, words: Collection[str]) -> np.ndarray:
    """Mask (N,) of the terms that are one of the words or a pair of them."""
    listed = set(words)
    is_out = np.array([word in listed for word in counts.vocab], dtype=bool)
    return is_out | is_out[counts.parts].all(axis=1)
