"""Terms that distinguish a topic from the others: class-based TF-IDF over words and word pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from topiclab.data.class_tfidf import class_tfidf
from topiclab.describe.ngrams import NgramCounts
from topiclab.describe.redundancy import distinct_terms, is_covered, stems_of

BLOCK_TOPICS = 16  # topics whose scores are in memory at a time
CANDIDATES = 50  # best terms considered for each term shown
PREFERENCE = 0.2  # share of the best score from which a word pair is a better keyword than a word in it


@dataclass(frozen=True)
class Terms:
    """Terms of K topics, best first, with their scores; a topic may have fewer than num_terms.

    A word pair that replaces one of its words takes the rank of the word but keeps its own score.

    domain_words: words that say nothing about a topic, learned from the corpus, in alphabetical order.
    keywords: K lists: the term that names the topic, then its substitutes.
    """

    terms: list[list[str]]
    scores: list[list[float]]
    domain_words: list[str]
    keywords: list[list[str]]


@dataclass(frozen=True)
class TermOptions:
    """The keys of describe.terms that choose among counted terms.

    membership: `main` counts a document for its main topic, `soft` for all topics by theta.
    num_terms: per topic.  domain_evenness, domain_share: `evenness` and share of the documents from which a
    word is a domain word.  domain_words: further words to leave out.
    """

    membership: str
    num_terms: int
    domain_evenness: float
    domain_share: float
    domain_words: Sequence[str]


def class_terms(counts: NgramCounts, theta: np.ndarray, options: TermOptions) -> Terms:
    """Best terms of every topic, for any model.

    theta: (D, K), rows sum to 1.
    Raises ValueError when counts and theta differ in their number of documents.
    """
    if len(theta) != counts.num_docs:
        raise ValueError(
            f"theta has {len(theta)} documents, the counts have {counts.num_docs}; give both of one corpus"
        )
    learned = domain_words(counts, theta, options)
    listed = {word.lower() for word in options.domain_words}
    is_domain = np.zeros(len(counts.vocab), dtype=bool)
    is_domain[learned] = True
    is_domain |= np.array([word.lower() in listed for word in counts.vocab], dtype=bool)
    is_out = is_domain | is_domain[counts.parts].all(axis=1)
    num, found = options.num_terms, Terms([], [], [counts.vocab[word] for word in learned], [])
    for scores, frequencies in class_scores(counts, theta, options.membership, is_out):
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
    """Keywords: a pair among the first three terms, else the best pair with the first term; then the terms.

    The pair neither begins with a domain word, as `models llms` does, nor continues a term, as `resource
    languages` continues `low resource`.
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


def domain_words(counts: NgramCounts, theta: np.ndarray, options: TermOptions) -> np.ndarray:
    """Columns of the words that are common and spread evenly over topics; none for a single topic."""
    num_words, num_docs = counts.num_words, len(theta)
    words = counts.matrix[:, :num_words]
    in_docs = np.bincount(words.indices, minlength=num_words)
    is_even = evenness(words, theta) >= options.domain_evenness
    return np.flatnonzero(is_even & (in_docs >= options.domain_share * num_docs))


def evenness(words: sparse.csr_matrix, theta: np.ndarray) -> np.ndarray:
    """Entropy of each word over main topics, (W,) in [0, 1]; 1 where all topics use it equally often.

    Computed from the word's share of a topic's words, not its count, so that topic sizes have no effect;
    divided by the log of the number of topics with words. 0 if fewer than two topics have words.
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
    """Weight of each document in each topic, (D, K): CSR of 0/1 for `main`, theta for `soft`."""
    if membership == "soft":
        return theta
    ones = np.ones(len(theta), dtype=np.int32)
    return sparse.csr_matrix((ones, (np.arange(len(theta)), theta.argmax(axis=1))), shape=theta.shape)


def class_scores(
    counts: NgramCounts, theta: np.ndarray, membership: str, is_out: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores (N,), 0 where a term is left out, and frequencies (N,), topic by topic."""
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
    """Indices of the `num` highest scores above 0, the highest first, ties by index."""
    if num < len(scores):
        least = np.partition(scores, len(scores) - num)[len(scores) - num]
        places = np.flatnonzero((scores >= least) & (scores > 0))
    else:
        places = np.flatnonzero(scores > 0)
    return places[np.argsort(-scores[places], kind="stable")][:num]
