"""Stability: agreement of the topics of several fits, regardless of their order."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

from topiclab.metrics.neighbourhoods import cosines


def matched_cosines(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Topic of `second` (L, V) matched to each of `first` (K, V), K <= L, and their cosine; both (K,).

    The matching has the largest sum of cosines (Hungarian).
    """
    similar = cosines(first, second)
    rows, columns = linear_sum_assignment(-similar)
    return columns, similar[rows, columns]


def stability(fits: list[np.ndarray]) -> float:
    """Mean matched cosine over all pairs of fits, each of (K, V) word distributions; nan for one fit."""
    pairs = [matched_cosines(first, second)[1].mean() for first, second in combinations(fits, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")
