"""Differences between topics: topic diversity, inverted RBO, exclusivity and FREX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from topiclab.metrics.undefined import UndefinedMetric


def topic_diversity(topics: Sequence[Sequence[str]]) -> float:
    """Share of distinct words among the words of all topics, in (0, 1] (Dieng, Ruiz & Blei 2020)."""
    return len({word for words in topics for word in words}) / sum(len(words) for words in topics)


def inverted_rbo(topics: Sequence[Sequence[str]], p: float = 0.9) -> float:
    """1 - mean rank-biased overlap over all pairs of topics, in [0, 1]; 1 when no two topics share a word.

    topics: K lists of equal length, best word first. The overlap is RBO_ext, extrapolated from lists of that
    length (Webber, Moffat & Zobel 2010); Bianchi, Terragni & Hovy 2021 apply it to topics.
    """
    if len(topics) < 2:
        raise UndefinedMetric("inverted RBO compares pairs of topics; there is only one topic")
    place: dict[str, int] = {}
    ids = np.array([[place.setdefault(word, len(place)) for word in words] for words in topics])
    num_words = ids.shape[1]
    is_seen = np.zeros((len(topics), len(place)), dtype=np.float32)
    pairs = np.triu_indices(len(topics), 1)
    agreement = overlap = np.zeros(len(pairs[0]))
    for depth in range(1, num_words + 1):
        is_seen[np.arange(len(topics)), ids[:, depth - 1]] = 1
        agreement = (is_seen @ is_seen.T)[pairs].astype(np.float64) / depth
        overlap = overlap + (1 - p) / p * agreement * p**depth
    return float(1 - (overlap + agreement * p**num_words).mean())


def exclusivity(beta: np.ndarray, top_words: np.ndarray) -> np.ndarray:
    """Mean (K,) of beta[k, w] / sum_j beta[j, w] over top words, in [0, 1]; 1: words of no other topic.

    beta: (K, V).  top_words: (K, T) word ids.
    """
    return np.take_along_axis(_shares(beta), top_words, axis=1).mean(axis=1)


def frex(beta: np.ndarray, top_words: np.ndarray, weight: float = 0.5) -> np.ndarray:
    """Mean FREX (K,) of a topic's top words, in (0, 1] (Bischof & Airoldi 2012).

    FREX is the harmonic mean of a word's ranks by exclusivity (with this weight) and by frequency, both as
    the share of the V words that do not score higher within the topic.
    """
    shares = _shares(beta)
    by_share = np.array([_ranks(*row) for row in zip(shares, top_words, strict=True)])
    by_frequency = np.array([_ranks(*row) for row in zip(beta, top_words, strict=True)])
    return (1 / (weight / by_share + (1 - weight) / by_frequency)).mean(axis=1)


def _shares(beta: np.ndarray) -> np.ndarray:
    """Share (K, V) of each topic in a word's mass over all topics; 0 for a word without mass."""
    if len(beta) < 2:
        raise UndefinedMetric("exclusivity compares topics; there is only one topic")
    mass = beta.sum(axis=0, dtype=np.float64)
    return beta / np.where(mass > 0, mass, 1)


def _ranks(scores: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Empirical distribution function of scores (V,) at the given words (T,)."""
    return np.searchsorted(np.sort(scores), scores[words], side="right") / len(scores)
