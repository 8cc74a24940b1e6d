"""Effects: bootstrap intervals of means, and the analysis of variance of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 5000


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % percentile bootstrap interval; NaN if there are no values."""

    mean: float
    low: float
    high: float
    num: int

    @property
    def excludes_0(self) -> bool:
        return self.low > 0 or self.high < 0

    def text(self, digits: int = 3) -> str:
        if not self.num:
            return "-"
        return f"{self.mean:+.{digits}f} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


@dataclass(frozen=True)
class Effect:
    """One row of an analysis of variance.

    share: of the total sum of squares.  F, p: against the residual; NaN without residual degrees of freedom.
    """

    name: str
    freedom: int
    share: float
    F: float
    p: float


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Interval of the mean of independent finite values; a single value is its own interval."""
    found = np.asarray([value for value in values if np.isfinite(value)])
    if not len(found):
        return Interval(np.nan, np.nan, np.nan, 0)
    draws = np.random.default_rng(seed).integers(0, len(found), (RESAMPLES, len(found)))
    low, high = np.percentile(found[draws].mean(axis=1), [2.5, 97.5])
    return Interval(float(found.mean()), float(low), float(high), len(found))


def analysis_of_variance(
    values: Sequence[float], factors: Mapping[str, Sequence[object]], interaction: tuple[str, str] | None
) -> list[Effect]:
    """Sequential sums of squares of the factors in order, then of the interaction, then the residual.

    factors: level of every value by factor; factors with a single level are left out. In a balanced grid the
    order does not matter.
    """
    found = np.asarray(values, np.float64)
    columns = {name: _indicators(levels) for name, levels in factors.items() if len(set(levels)) > 1}
    if interaction and all(name in columns for name in interaction):
        first, second = (columns[name] for name in interaction)
        columns[" x ".join(interaction)] = (first[:, :, None] * second[:, None]).reshape(len(found), -1)
    design = np.ones((len(found), 1))
    steps, left, rank = [], _residual(design, found), 1
    for name, column in columns.items():
        design = np.hstack([design, column])
        after, rank_after = _residual(design, found), int(np.linalg.matrix_rank(design))
        steps.append((name, rank_after - rank, left - after))
        left, rank = after, rank_after
    total, freedom = ((found - found.mean()) ** 2).sum(), len(found) - rank
    effects = [_tested(name, of_factor, squares, total, left, freedom) for name, of_factor, squares in steps]
    return [*effects, Effect("residual", freedom, float(left / total) if total else np.nan, np.nan, np.nan)]


def _tested(name: str, freedom: int, squares: float, total: float, left: float, of_residual: int) -> Effect:
    from scipy.stats import f  # takes a second to import

    share = float(squares / total) if total else np.nan
    if not of_residual or left <= 1e-12 * total:
        return Effect(name, freedom, share, np.nan, np.nan)
    ratio = (squares / freedom) / (left / of_residual)
    return Effect(name, freedom, share, float(ratio), float(f.sf(ratio, freedom, of_residual)))


def _indicators(levels: Sequence[object]) -> np.ndarray:
    names = list(dict.fromkeys(levels))
    return np.array([[level == name for name in names[1:]] for level in levels], np.float64)


def _residual(design: np.ndarray, values: np.ndarray) -> float:
    """Residual sum of squares after a least-squares fit of the design."""
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(((values - fitted) ** 2).sum())
