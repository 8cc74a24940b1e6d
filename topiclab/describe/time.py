"""Topics over time: share and terms of every topic by period, and which topics rise or fall."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import sparse, stats

from topiclab.data.periods import assign_periods
from topiclab.describe.ngrams import NgramCounts
from topiclab.describe.period_terms import period_terms, term_shares

LEVEL = 0.95  # confidence level of every interval
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
BLOCK = 1 << 22  # documents resampled at a time
ROUNDING = 1e-7  # error of a share: else rounding alone would make a topic of all documents rise


@dataclass(frozen=True)
class Trend:
    """Least-squares line through a topic's shares, with periods weighted by their number of documents.

    slope: change of the share from one period to the next; NaN if fewer than two periods hold documents.
    low, high: outer bounds of two intervals at the confidence level LEVEL: by bootstrap over documents, and
    by the scatter of the periods around the line (Student's t), because documents of one period, such as
    those of one conference, are not independent.
    """

    topic: int
    slope: float
    low: float
    high: float

    @property
    def kind(self) -> str:
        """Return emerging or fading if the interval excludes 0 by more than ROUNDING, else steady."""
        return "emerging" if self.low > ROUNDING else "fading" if self.high < -ROUNDING else "steady"


@dataclass(frozen=True, eq=False)
class TopicTimes:
    """K topics over P periods of one unit from the first to the last, including empty ones.

    periods: their names.  totals: (P,) number of documents.  counts: (K, P) the same by main topic.
    shares: (K, P) mean theta, NaN in an empty period.  low, high: (K, P) bounds of its percentile bootstrap
    over the documents of the period; of width 0 if no document has the topic.
    terms: K lists of P lists, best first; fewer where few documents share a term.
    words: K lists of terms of the topic as a whole, each with shares (P,), see `term_shares`.
    undated: number of documents without a date.  outside: number of dated ones left out (`assign_periods`).
    """

    unit: str
    periods: list[str]
    totals: np.ndarray
    counts: np.ndarray
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trends: list[Trend]
    terms: list[list[list[str]]]
    words: list[list[tuple[str, np.ndarray]]]
    undated: int
    outside: int


def topics_over_time(
    theta: np.ndarray,
    timestamps: np.ndarray,
    counts: NgramCounts,
    *,
    unit: str = "auto",
    num_bootstrap: int = 500,
    seed: int = 0,
    num_terms: int = 5,
    left_out: Collection[str] = (),
    words: Sequence[Sequence[str]] | None = None,
) -> TopicTimes:
    """Compute counts, shares with bands, terms and trends of every topic.

    theta: (D, K).  timestamps: (D,) datetime64, NaT where a document has no date.
    counts: of the same documents.  unit: see `assign_periods`.  left_out: words never shown as terms.
    words: K lists of terms of the topics as a whole, whose shares are told by period; None: of no term.
    Raises ValueError if no document has a date.
    """
    periods = assign_periods(timestamps, unit)
    num_topics, num_periods = theta.shape[1], len(periods.starts)
    rows = np.flatnonzero(periods.index >= 0)
    rows = rows[np.argsort(periods.index[rows], kind="stable")]
    period, theta = periods.index[rows], theta[rows]
    totals = np.bincount(period, minlength=num_periods)
    cell = theta.argmax(axis=1) * num_periods + period
    sizes = np.bincount(cell, minlength=num_topics * num_periods).reshape(num_topics, num_periods)
    ones = np.ones(len(rows))
    to_period = sparse.csr_matrix((ones, (period, np.arange(len(rows)))), shape=(num_periods, len(rows)))
    with np.errstate(invalid="ignore"):
        shares = (to_period @ theta.astype(np.float64)) / totals[:, None]  # NaN in an empty period
    resampled = resampled_shares(theta, totals, num_bootstrap, seed)
    low, high = np.quantile(resampled, TAILS, axis=0)
    said = replace(counts, matrix=counts.matrix[rows])
    num_dated = int((~np.isnat(timestamps)).sum())
    return TopicTimes(
        unit=periods.unit,
        periods=periods.names,
        totals=totals,
        counts=sizes,
        shares=shares.T,
        low=low.T,
        high=high.T,
        trends=topic_trends(shares, totals, resampled),
        terms=period_terms(said, cell, sizes, num=num_terms, left_out=left_out),
        words=term_shares(said, cell, sizes, words or [()] * num_topics),
        undated=len(timestamps) - num_dated,
        outside=num_dated - len(rows),
    )


def resampled_shares(theta: np.ndarray, totals: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Mean theta (num, P, K) of every period over num bootstrap samples of its documents.

    theta: (D, K), sorted by period.  totals: (P,) number of documents per period.  NaN in an empty period.
    """
    rng = np.random.default_rng(seed)
    found = np.full((num, len(totals), theta.shape[1]), np.nan, np.float32)
    for period, (start, stop) in enumerate(pairwise(np.concatenate([[0], np.cumsum(totals)]))):
        size = stop - start
        block = max(1, BLOCK // max(size, 1))
        for first in range(0, num if size else 0, block):
            draws = min(block, num - first)
            drawn = rng.integers(size, size=(draws, size)) + np.arange(draws)[:, None] * size
            times = np.bincount(drawn.ravel(), minlength=draws * size).reshape(draws, size)
            found[first : first + draws, period] = times.astype(np.float32) @ theta[start:stop] / size
    return found


def topic_trends(shares: np.ndarray, totals: np.ndarray, resampled: np.ndarray) -> list[Trend]:
    """Trends of K topics.

    shares: (P, K), NaN in an empty period.  totals: (P,) number of documents.  resampled: (B, P, K) shares.
    """
    held = np.flatnonzero(totals)
    if len(held) < 2:
        return [Trend(topic, np.nan, np.nan, np.nan) for topic in range(shares.shape[1])]
    weight = totals[held] / totals.sum()
    time = held - weight @ held
    spread = weight @ time**2
    pull = weight * time / spread  # a slope is a weighted sum of shares
    shares = shares[held]
    slopes = pull @ shares
    low, high = np.quantile(np.tensordot(pull, resampled[:, held], (0, 1)), TAILS, axis=0)
    if (freedom := len(held) - 2) > 0:
        scatter = shares - weight @ shares - np.outer(time, slopes)
        error = np.sqrt(weight @ scatter**2 / freedom / spread)
        reach = stats.t.ppf(TAILS[1], freedom) * error
        low, high = np.minimum(low, slopes - reach), np.maximum(high, slopes + reach)
    return [
        Trend(topic, *map(float, found)) for topic, found in enumerate(zip(slopes, low, high, strict=True))
    ]
