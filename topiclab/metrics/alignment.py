"""Alignment: agreement of two models' topics of the same items, compared with permuted pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import xlogy

from topiclab.metrics.neighbourhoods import cosines

RIDGE = 1e-2
TIE = 1e-9
MEASURES = ("cka", "matched_correlation", "matched_top1", "recall@1", "recall@5", "nmi")


@dataclass(frozen=True)
class Alignment:
    """One of MEASURES on the held-out pairs, and its mean over permuted pairs.

    z: their difference in standard deviations over the permutations; nan if these are 0.
    """

    value: float
    null: float
    z: float


def alignment(
    first: np.ndarray,
    second: np.ndarray,
    is_fitted_on: np.ndarray,
    num_permutations: int,
    rng: np.random.Generator,
) -> dict[str, Alignment]:
    """MEASURES between the topic proportions (D, K) and (D, L) of the same D items under two models.

    is_fitted_on: (D,) pairs used to fit the matching and the ridge map; the measures are taken on the others.
    The null permutes `second` within each of the two parts, and fits again.
    Raises ValueError for fewer than four pairs in a part.
    """
    fit, held_out = np.flatnonzero(is_fitted_on), np.flatnonzero(~is_fitted_on)
    if min(len(fit), len(held_out)) < 4:
        raise ValueError(f"{len(fit)} pairs to fit on and {len(held_out)} held out; give at least 4 of each")
    observed = _measured(first[fit], second[fit], first[held_out], second[held_out])
    null = np.array(
        [
            _measured(
                first[fit], second[rng.permutation(fit)], first[held_out], second[rng.permutation(held_out)]
            )
            for _ in range(num_permutations)
        ]
    )
    mean, spread = null.mean(axis=0), null.std(axis=0, ddof=1)
    scores = np.where(spread > 0, (observed - mean) / np.where(spread > 0, spread, 1), np.nan)
    columns = zip(observed.tolist(), mean.tolist(), scores.tolist(), strict=True)
    return {name: Alignment(*values) for name, values in zip(MEASURES, columns, strict=True)}


def debiased_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear CKA from unbiased HSIC (Song et al. 2012), about 0 for independent rows; nan without variation.

    first, second: (D, K) and (D, L), D >= 4.
    """
    one, other = (rows - rows.mean(axis=0, dtype=np.float64) for rows in (first, second))
    scale = _unbiased_hsic(one, one) * _unbiased_hsic(other, other)
    return float(_unbiased_hsic(one, other) / np.sqrt(scale)) if scale > 1e-24 else float("nan")


def match_topics(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matching of min(K, L) pairs of columns with the largest sum of correlations."""
    return linear_sum_assignment(-_correlations(first, second))


def recall_at(similarities: np.ndarray, depths: tuple[int, ...]) -> np.ndarray:
    """Share of rows whose own column (the diagonal) is among the `depth` highest, ties in random order."""
    own = similarities.diagonal()[:, None]
    above = (similarities > own + TIE).sum(axis=1)
    equal = (similarities >= own - TIE).sum(axis=1) - above
    return np.array([np.clip((depth - above) / equal, 0, 1).mean() for depth in depths])


def ridge_map(first: np.ndarray, second: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Prediction (E, L) of `second` for rows (E, K), by ridge regression with an intercept."""
    centre, target = first.mean(axis=0), second.mean(axis=0)
    inputs = first - centre
    gram = inputs.T @ inputs + RIDGE * len(first) * np.eye(first.shape[1])
    return (rows - centre) @ np.linalg.solve(gram, inputs.T @ (second - target)) + target


def _measured(fit_a: np.ndarray, fit_b: np.ndarray, held_a: np.ndarray, held_b: np.ndarray) -> np.ndarray:
    """Values of MEASURES, in order."""
    rows, columns = match_topics(fit_a, fit_b)
    correlation = _correlations(held_a, held_b)[rows, columns].mean()
    match = np.full(fit_a.shape[1], -1)
    match[rows] = columns
    top_a, top_b = held_a.argmax(axis=1), held_b.argmax(axis=1)
    guessed = ridge_map(fit_a, fit_b, held_a)
    centre = fit_b.mean(axis=0)
    recalls = recall_at(cosines(guessed - centre, held_b - centre), (1, 5))
    return np.array(
        [
            debiased_cka(held_a, held_b),
            correlation,
            (match[top_a] == top_b).mean(),
            *recalls,
            _mutual_information(top_a, top_b),
        ]
    )


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlations (K, L) of columns; 0 for constant columns."""
    return cosines((first - first.mean(axis=0)).T, (second - second.mean(axis=0)).T)


def _unbiased_hsic(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased HSIC of linear kernels of centred rows without their diagonals; kernels are not formed."""
    num = len(first)
    lengths = (first**2).sum(axis=1), (second**2).sum(axis=1)
    trace = ((first.T @ second) ** 2).sum() - lengths[0] @ lengths[1]
    rows = first @ first.sum(axis=0) - lengths[0], second @ second.sum(axis=0) - lengths[1]
    means = rows[0].sum() * rows[1].sum() / ((num - 1) * (num - 2))
    return float((trace + means - 2 * (rows[0] @ rows[1]) / (num - 2)) / (num * (num - 3)))


def _mutual_information(first: np.ndarray, second: np.ndarray) -> float:
    """NMI as in clustering.py, without its checks, since it is computed a thousand times."""
    joint = np.bincount(first * (second.max() + 1) + second, minlength=(first.max() + 1) * (second.max() + 1))
    shares = joint.reshape(first.max() + 1, second.max() + 1) / len(first)
    entropies = [-xlogy(each, each).sum() for each in (shares.sum(axis=1), shares.sum(axis=0), shares)]
    total = entropies[0] + entropies[1]
    return float(2 * (total - entropies[2]) / total) if total > 0 else 1.0
