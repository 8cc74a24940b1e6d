"""Convergence of Markov chains: split R-hat of a scalar, raw and rank-normalised."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata


def split_r_hat(draws: np.ndarray) -> float:
    """Potential scale reduction of draws (M, N), every chain cut into halves (Gelman et al. 2013, 11.4).

    About 1 if the chains agree and are stationary; nan for fewer than four draws per chain.
    """
    num = draws.shape[1] // 2
    if num < 2:
        return float("nan")
    halves = np.concatenate([draws[:, :num], draws[:, -num:]]).astype(np.float64)
    within = halves.var(axis=1, ddof=1).mean()
    between = num * halves.mean(axis=1).var(ddof=1)
    if within == 0:
        return 1.0 if between == 0 else float("inf")
    return float(np.sqrt((num - 1) / num + between / within / num))


def ranked_r_hat(draws: np.ndarray) -> float:
    """Larger split R-hat of the normal scores of the draws and of their distances to the median.

    Vehtari et al. 2021: detects differences despite heavy tails, and chains that differ in spread only.
    """
    folded = np.abs(draws - np.median(draws))
    return max(split_r_hat(_normal_scores(draws)), split_r_hat(_normal_scores(folded)))


def _normal_scores(draws: np.ndarray) -> np.ndarray:
    ranks = rankdata(draws).reshape(draws.shape)
    return ndtri((ranks - 0.375) / (draws.size + 0.25))
