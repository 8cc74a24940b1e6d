"""Alignment: whether two models' topics of the same things agree, against pairs that are permuted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from topiclab.metrics.clustering import normalized_mutual_information
from topiclab.metrics.neighbourhoods import cosines

RIDGE = 1e-2
MEASURES = ("cka", "matched_correlation", "matched_top1", "recall@1", "recall@5", "nmi")


@dataclass(frozen=True)
class Alignment:
    """One of MEASURES on the pairs held out, and its mean over permuted pairs.

    z: the difference in standard deviations over the permutations; nan where permuting changes nothing.
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
    """MEASURES between the topic proportions (D, K) and (D, L) of the same D things under two models.

    is_fitted_on: (D,) pairs that the matching and the ridge map may use; all numbers are of the others.
    The null permutes `second` among the pairs of each of the two parts, and fits again.
    Raises ValueError for fewer than four pairs in a part.
    """
    fit, held_out = np.flatnonzero(is_fitted_on), np.flatnonzero(~is_fitted_on)
    if min(len(fit), len(held_out)) < 4:
        raise ValueError(f"{len(fit)} pairs to fit on and {len(held_out)} held out; give 4 of both at least")
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

    first, second: (D, K) and (D, L), D of at least 4.
    """
    one, other = _without_diagonal(first), _without_diagonal(second)
    scale = _unbiased_hsic(one, one) * _unbiased_hsic(other, other)
    return float(_unbiased_hsic(one, other) / np.sqrt(scale)) if scale > 0 else float("nan")


def match_topics(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The min(K, L) pairs of columns with the largest sum of correlations."""
    return linear_sum_assignment(-_correlations(first, second))


def recall_at(similarities: np.ndarray, depths: tuple[int, ...]) -> np.ndarray:
    """Share of rows whose own column (the diagonal) is among the highest, equal ones in random order."""
    own = similarities.diagonal()[:, None]
    is_equal = np.isclose(similarities, own, rtol=0, atol=1e-9)
    above, equal = ((similarities > own) & ~is_equal).sum(axis=1), is_equal.sum(axis=1)
    return np.array([np.clip((depth - above) / equal, 0, 1).mean() for depth in depths])


def ridge_map(first: np.ndarray, second: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(E, L): what `second` is expected to be for rows (E, K), by ridge regression with an intercept."""
    centre, target = first.mean(axis=0), second.mean(axis=0)
    inputs = first - centre
    gram = inputs.T @ inputs + RIDGE * len(first) * np.eye(first.shape[1])
    return (rows - centre) @ np.linalg.solve(gram, inputs.T @ (second - target)) + target


def _measured(fit_a: np.ndarray, fit_b: np.ndarray, held_a: np.ndarray, held_b: np.ndarray) -> np.ndarray:
    """MEASURES in order."""
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
            normalized_mutual_information(top_a, top_b),
        ]
    )


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(K, L) Pearson correlations of columns, 0 with a constant one."""
    return cosines((first - first.mean(axis=0)).T, (second - second.mean(axis=0)).T)


def _without_diagonal(rows: np.ndarray) -> np.ndarray:
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    kernel = centred @ centred.T
    np.fill_diagonal(kernel, 0)
    return kernel


def _unbiased_hsic(first: np.ndarray, second: np.ndarray) -> float:
    num = len(first)
    sums = first.sum(axis=1), second.sum(axis=1)
    trace = (first * second).sum()
    means = sums[0].sum() * sums[1].sum() / ((num - 1) * (num - 2))
    return float((trace + means - 2 * (sums[0] @ sums[1]) / (num - 2)) / (num * (num - 3)))
