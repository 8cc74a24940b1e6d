"""Topic quality: coherence times diversity, over all topics or the more coherent half of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from topiclab.metrics.diversity import topic_diversity
from topiclab.metrics.undefined import UndefinedMetric


def best_half(npmi: np.ndarray) -> np.ndarray:
    """Indices of the floor(K / 2) topics with the highest NPMI (K,); ties go to the earlier topic.

    TVQ-VAE (Yoo & Choi 2024) reports its coherence and diversity over these only.
    """
    if len(npmi) < 2:
        raise UndefinedMetric("the better half of the topics needs two; there is only one topic")
    return np.argsort(-npmi, kind="stable")[: len(npmi) // 2]


def half_npmi(npmi: np.ndarray) -> float:
    """Mean NPMI of the better half."""
    return float(npmi[best_half(npmi)].mean())


def half_diversity(npmi: np.ndarray, topics: Sequence[Sequence[str]]) -> float:
    """Share of distinct words among the words of the better half's topics, in (0, 1]."""
    return topic_diversity([topics[int(place)] for place in best_half(npmi)])
