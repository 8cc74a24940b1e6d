"""The terms that tell a topic from the others: class-based TF-IDF over words and pairs of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from topiclab.data.class_tfidf import class_tfidf
from topiclab.describe.ngrams import NgramCounts
from topiclab.describe.redundancy import distinct_terms, is_covered, stems_of

BLOCK_TOPICS = 16  # whose scores are in memory at a time
CANDIDATES = 50  # best terms looked at for each that is shown
PREFERENCE = 0.2  # of the best score, from which a pair of words tells more as keyword than a word in it


@dataclass(frozen=True)
class Terms:
    """Terms of K topics, best first, with their scores; fewer where a topic has no more.

    A pair of words that stands for one of them has the place of the word and its own score.

    domain_words: words that say nothing of a topic, learned from the corpus, alphabetical.
    keywords: K lists, the term by which to call the topic and what may stand in for it.
    """

    terms: list[list[str]]
    scores: list[list[float]]
    domain_words: list[str]
    keywords: list[list[str]]


def class_terms(counts: NgramCounts, theta: np.ndarray, options: Mapping[str, Any]) -> Terms:
    """The best terms of every topic of any model.

    theta: (D, K), rows sum to 1.
    options: membership, `main` counts a document for its main topic and `soft` for all by theta; num_terms;
        domain_evenness (`evenness` from which a word is the domain's) and domain_share (of the documents that
        have it at least); domain_words, a list that is left out as well.
    Raises ValueError when counts and theta are of other documents.
    """
    if len(theta) != counts.num_docs:
        raise ValueError(
            f"theta is of {len(theta)} documents, the counts of {counts.num_docs}; give both of one corpus"
        )
    learned = domain_words(counts, theta, options)
    listed = {word.lower() for word in options["domain_words"]}
    is_domain = np.zeros(len(counts.vocab), dtype=bool)
    is_domain[learned] = True
    is_domain |= np.array([word.lower() in listed for word in counts.vocab], dtype=bool)
    is_out = is_domain | is_domain[counts.parts].all(axis=1)
    num, found = options["num_terms"], Terms([], [], [counts.vocab[word] for word in learned], [])
    for scores, frequencies in class_scores(counts, theta, options["membership"], is_out):
        ranked = best(scores, num * CANDIDATES)
        chosen = distinct_terms(counts, ranked, frequencies, num)
        keywords = _keywords(
            counts, ranked[scores[ranked] >= PREFERENCE * scores.max(initial=0)], chosen, is_domain
        )
        found.terms.append([counts.vocab[term] for term in chosen])
        found.scores.append(scores[chosen].tolist())
        found.keywords.append([counts.vocab[term] for term in keywords])
    return found


def _keywords(counts: NgramCounts, ranked: np.ndarray, chosen: list[int], is_domain: np.ndarray) -> list[int]:
    """A pair among the first three terms or else the best one with the first term, then the terms.

    It does not begin with a word of the domain, as `models llms`, nor continue a term, as `resource
    languages` does `low resource`.
    """
    pairs = [stems_of(counts, term) for term in chosen if term >= counts.num_words]
    leading = set(counts.parts[chosen[:1]].ravel().tolist())
    with_leading = [
        term
        for term in ranked[ranked >= counts.num_words].tolist()
        if leading & set(counts.parts[term].tolist())
        and not any(is_covered(stems_of(counts, term), pair) for pair in pairs)
    ]
    first = [term for term in chosen[:3] if term >= counts.num_words] + with_leading
    first = [term for term in first if not is_domain[counts.parts[term, 0]]]
    return list(dict.fromkeys([*first[:1], *chosen]))


def domain_words(counts: NgramCounts, theta: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """Columns of the words that are spread evenly over topics and common; none for a single topic."""
    num_words, num_docs = counts.num_words, len(theta)
    words = counts.matrix[:, :num_words]
    in_docs = np.bincount(words.indices, minlength=num_words)
    is_even = evenness(words, theta) >= options["domain_evenness"]
    return np.flatnonzero(is_even & (in_docs >= options["domain_share"] * num_docs))


def evenness(words: sparse.csr_matrix, theta: np.ndarray) -> np.ndarray:
    """Entropy of each word over topics by main topic, 1 where every topic says it as often: (W,) in [0, 1].

    Over the word's rate among a topic's words, not its count, so that sizes of topics do not enter; divided
    by the log of the number of topics with words. 0 with fewer than two of them.
    """
    rates = np.asarray((members(theta, "main").T @ words).todense(), dtype=np.float64)
    rates = rates[rates.sum(axis=1) > 0]
    if len(rates) < 2:
        return np.zeros(rates.shape[1])
    rates /= rates.sum(axis=1, keepdims=True)
    shares = rates / np.maximum(rates.sum(axis=0), np.finfo(float).tiny)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=0) / np.log(len(rates))


def members(theta: np.ndarray, membership: str) -> sparse.csr_matrix | np.ndarray:
    """What each document counts for in each topic, (D, K): CSR of 0/1 for `main`, theta for `soft`."""
    if membership == "soft":
        return theta
    ones = np.ones(len(theta), dtype=np.int32)
    return sparse.csr_matrix((ones, (np.arange(len(theta)), theta.argmax(axis=1))), shape=theta.shape)


def class_scores(
    counts: NgramCounts, theta: np.ndarray, membership: str, is_out: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores (N,), 0 where a term is out, and frequencies (N,) of one topic after the other."""
    totals = np.bincount(counts.matrix.indices, counts.matrix.data, minlength=len(counts.vocab))
    weights = members(theta, membership)
    by_term = counts.matrix.T
    for start in range(0, theta.shape[1], BLOCK_TOPICS):
        found = by_term @ weights[:, start : start + BLOCK_TOPICS]
        frequencies = np.asarray(found.todense() if sparse.issparse(found) else found, dtype=np.float64).T
        scores = class_tfidf(frequencies, totals, theta.shape[1])
        scores[:, is_out] = 0
        yield from zip(scores, frequencies, strict=True)


def best(scores: np.ndarray, num: int) -> np.ndarray:
    """Places of the `num` highest scores above 0, the highest first, ties by place."""
    if num < len(scores):
        least = np.partition(scores, len(scores) - num)[len(scores) - num]
        places = np.flatnonzero((scores >= least) & (scores > 0))
    else:
        places = np.flatnonzero(scores > 0)
    return places[np.argsort(-scores[places], kind="stable")][:num]
