"""Biterms: pairs of words that occur close together, and collapsed Gibbs sampling of their topics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from scipy import sparse


def biterms_of(tokens: np.ndarray, offsets: np.ndarray, window: int) -> np.ndarray:
    """Pairs (B, 2) int32 of words less than `window` places apart in one document, repeated ones included.

    tokens: (T,) words of the documents in order.  offsets: (D + 1,) where each document's tokens start.
    """
    return _biterms(tokens.astype(np.int32), offsets, window)


def sample_biterms(
    biterms: np.ndarray,
    num_words: int,
    num_topics: int,
    *,
    alpha: float,
    eta: float,
    num_sweeps: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run a chain over biterms (B, 2), each of which has one topic (Yan et al. 2013).

    p(z | rest) ~ (n_z + alpha) p(w_1 | z) p(w_2 | z, w_1), with the biterm left out of all counts.
    Returns the last state: word counts (V, K), biterms (K,) of the topics and the topic (B,) of each biterm.
    """
    return _sample(biterms, num_words, num_topics, num_sweeps, float(alpha), np.float32(eta), seed)


def biterm_proportions(bow: sparse.csr_matrix, words: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Proportions (D, K) float32: mean of p(z | b) over all pairs b of the words of each bag.

    words: (V, K) p(w | z).  shares: (K,) p(z).  A document of one word has p(z | w), an empty one p(z).
    """
    counts = bow.data.astype(np.float64)
    return _proportions(bow.indptr, bow.indices, counts, np.ascontiguousarray(words), shares)


@njit(cache=True)
def _biterms(tokens: np.ndarray, offsets: np.ndarray, window: int) -> np.ndarray:
    total = 0
    for doc in range(len(offsets) - 1):
        for place in range(offsets[doc], offsets[doc + 1]):
            total += min(offsets[doc + 1], place + window) - place - 1
    pairs = np.empty((total, 2), np.int32)
    number = 0
    for doc in range(len(offsets) - 1):
        for place in range(offsets[doc], offsets[doc + 1]):
            for other in range(place + 1, min(offsets[doc + 1], place + window)):
                pairs[number, 0], pairs[number, 1] = tokens[place], tokens[other]
                number += 1
    return pairs


@njit(cache=True)
def _factor(count: Any, alpha: float, mass: float) -> Any:
    """Return what all biterms of a topic share: (n + alpha) / ((2 n + V eta) (2 n + 1 + V eta))."""
    return (count + alpha) / ((2 * count + mass) * (2 * count + 1 + mass))


@njit(cache=True, fastmath=True)
def _sample(
    biterms: np.ndarray,
    num_words: int,
    num_topics: int,
    num_sweeps: int,
    alpha: float,
    eta: Any,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`sample_biterms`; counts are whole numbers, because float32 stops counting at 2^24."""
    np.random.seed(seed)  # noqa: NPY002, compiled code has no other generator
    topics = np.random.randint(0, num_topics, len(biterms)).astype(np.int32)  # noqa: NPY002
    counts, sizes = np.zeros((num_words, num_topics), np.int32), np.zeros(num_topics, np.int64)
    for number in range(len(biterms)):
        topic = topics[number]
        sizes[topic] += 1
        counts[biterms[number, 0], topic] += 1
        counts[biterms[number, 1], topic] += 1
    mass = num_words * np.float64(eta)
    factors, weights = np.empty(num_topics, np.float32), np.empty(num_topics, np.float32)
    for topic in range(num_topics):
        factors[topic] = _factor(sizes[topic], alpha, mass)
    for _ in range(num_sweeps):
        for number in range(len(biterms)):
            topic = topics[number]
            first, second = counts[biterms[number, 0]], counts[biterms[number, 1]]
            sizes[topic] -= 1
            first[topic] -= 1
            second[topic] -= 1
            factors[topic] = _factor(sizes[topic], alpha, mass)
            of_second = eta + np.float32(biterms[number, 0] == biterms[number, 1])
            total = np.float32(0)
            for topic in range(num_topics):
                of_first = np.float32(first[topic]) + eta
                weights[topic] = factors[topic] * of_first * (np.float32(second[topic]) + of_second)
                total += weights[topic]
            drawn = np.random.random() * total  # noqa: NPY002
            topic, passed = 0, weights[0]
            while passed < drawn and topic < num_topics - 1:
                topic += 1
                passed += weights[topic]
            topics[number] = topic
            sizes[topic] += 1
            first[topic] += 1
            second[topic] += 1
            factors[topic] = _factor(sizes[topic], alpha, mass)
    return counts, sizes, topics


@njit(cache=True)
def _proportions(
    indptr: np.ndarray, indices: np.ndarray, counts: np.ndarray, words: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    theta = np.empty((len(indptr) - 1, len(shares)), np.float32)
    for doc in range(len(theta)):
        begin, end = indptr[doc], indptr[doc + 1]
        if counts[begin:end].sum() < 2:
            alone = shares * words[indices[begin]] if end > begin else shares
            theta[doc] = alone / alone.sum()
            continue
        found = np.zeros(len(shares))
        for place in range(begin, end):
            of_first = shares * words[indices[place]]
            for other in range(place, end):
                pairs = counts[place] * (counts[other] if other > place else (counts[place] - 1) / 2)
                if pairs:
                    of_pair = of_first * words[indices[other]]
                    found += of_pair * (pairs / of_pair.sum())
        theta[doc] = found / found.sum()
    return theta
