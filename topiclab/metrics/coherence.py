"""Topic coherence from window counts: NPMI, C_V and UMass, per topic.

Formulas and conventions are gensim 4.4's (Röder, Both & Hinneburg 2015): EPSILON is added to joint
probabilities only, so a pair that never cooccurs has an NPMI near -1, and so has a pair in every window.
A topic with a word that occurs in no window of the reference is nan; gensim silently drops such words.
The variant of the counts decides between exact values and those that gensim reports.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from topiclab.metrics.cooccurrence import Cooccurrence
from topiclab.metrics.undefined import UndefinedMetric

EPSILON = 1e-12
WINDOWS: dict[str, int | None] = {"npmi": 10, "c_v": 110, "umass": None}

Topics = Sequence[Sequence[str]]


def npmi(topics: Topics, counts: Cooccurrence) -> np.ndarray:
    """Mean normalised pointwise mutual information (K,) over all pairs of a topic's words, in [-1, 1]."""
    scores = _pairwise_npmi(*_probabilities(topics, counts))
    num_words = scores.shape[1]
    above = np.triu_indices(num_words, 1)
    return scores[:, above[0], above[1]].mean(axis=1)


def c_v(topics: Topics, counts: Cooccurrence) -> np.ndarray:
    """Mean cosine (K,) between the NPMI vector of each word and the sum of its topic's vectors, in [-1, 1].

    One-set segmentation, gamma 1. A word's vector holds its NPMI with all words of the topic and itself.
    """
    vectors = _pairwise_npmi(*_probabilities(topics, counts))
    totals = vectors.sum(axis=1)
    norms = np.linalg.norm(vectors, axis=2) * np.linalg.norm(totals, axis=1)[:, None]
    return (np.einsum("kwv,kv->kw", vectors, totals) / norms).mean(axis=1)


def umass(topics: Topics, counts: Cooccurrence) -> np.ndarray:
    """Mean log P(word | higher-ranked word) (K,) over all pairs of a topic's words, in nats.

    Smoothed by EPSILON as in gensim, not by a count of one as in Mimno et al. 2011.
    """
    joint, single = _probabilities(topics, counts)
    scores = np.log((joint + EPSILON) / single[:, None, :])  # [topic, word, given word]
    lower, higher = np.tril_indices(scores.shape[1], -1)
    return scores[:, lower, higher].mean(axis=1)


def npmi_of(counts: Cooccurrence, ids: np.ndarray) -> np.ndarray:
    """NPMI (N, N) of all pairs of N words, by their ids (N,) in the vocabulary of the counts."""
    joint = counts.pair_counts[np.ix_(ids, ids)] / counts.num_windows
    single = counts.word_counts[ids] / counts.num_windows
    return _pairwise_npmi(joint[None], single[None])[0]


def npmi_table(counts: Cooccurrence) -> np.ndarray:
    """NPMI (V, V) float32 of all pairs of words; nan for a word that occurs in no window."""
    joint = counts.pair_counts / counts.num_windows
    single = np.where(counts.word_counts > 0, counts.word_counts / counts.num_windows, np.nan)
    return _pairwise_npmi(joint[None], single[None])[0].astype(np.float32)


def _probabilities(topics: Topics, counts: Cooccurrence) -> tuple[np.ndarray, np.ndarray]:
    """Joint (K, T, T) and single (K, T) probabilities; nan for absent words."""
    if not topics or len(topics[0]) < 2:
        raise UndefinedMetric("coherence needs topics of at least two words")
    if len({len(words) for words in topics}) > 1:
        raise ValueError("topics differ in length; give every topic the same number of words")
    ids = counts.ids(topics)
    if (ids < 0).all():
        raise UndefinedMetric("no word of the topics occurs in the reference corpus")
    joint = counts.pair_counts[ids[:, :, None], ids[:, None, :]] / counts.num_windows
    single = np.where(ids >= 0, counts.word_counts[ids] / counts.num_windows, np.nan)
    return joint, single


def _pairwise_npmi(joint: np.ndarray, single: np.ndarray) -> np.ndarray:
    """NPMI (K, T, T) from joint and single probabilities."""
    ratio = (joint + EPSILON) / (single[:, :, None] * single[:, None, :])
    return np.log(ratio) / -np.log(joint + EPSILON)
