"""Topic quality: coherence times diversity, over all topics or over the more coherent half of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from topiclab.metrics.diversity import topic_diversity
from topiclab.metrics.undefined import UndefinedMetric


def best_half(npmi: np.ndarray) -> np.ndarray:
    """Places of the floor(K / 2) topics of highest NPMI (K,), the earlier of two that are equal.

    TVQ-VAE (Yoo & Choi 2024) reports its coherence and diversity over these alone.
    """
    if len(npmi) < 2:
        raise UndefinedMetric("the better half of the topics needs two; there is only one topic")
    return np.argsort(-npmi, kind="stable")[: len(npmi) // 2]


def half_npmi(npmi: np.ndarray) -> float:
    """Mean NPMI of the better half."""
    return float(npmi[best_half(npmi)].mean())


def half_diversity(npmi: np.ndarray, topics: Sequence[Sequence[str]]) -> float:
    """Share of different words among those of the better half's topics, in (0, 1]."""
    return topic_diversity([topics[int(place)] for place in best_half(npmi)])
