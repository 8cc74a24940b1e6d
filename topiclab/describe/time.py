"""Time: the share of every topic by period, its terms there, and which topics rise and fall."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse, stats

from topiclab.describe.ngrams import NgramCounts
from topiclab.describe.periods import assign_periods

LEVEL = 0.95  # of every interval
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
FEWEST_DOCUMENTS = 2  # of a topic in a period, for a term there
BLOCK = 1 << 22  # documents resampled at a time


@dataclass(frozen=True)
class Trend:
    """The line through a topic's shares, by least squares over the periods weighted by their documents.

    slope: its rise from one period to the next; NaN where fewer than two periods hold documents.
    low, high: the wider of two intervals at the level LEVEL: that of the bootstrap over documents, and that
    of the scatter of the periods around the line (Student's t), because documents of one period, such as
    those of one conference, come together.
    """

    topic: int
    slope: float
    low: float
    high: float

    @property
    def kind(self) -> str:
        """emerging | fading where the interval excludes 0, else steady."""
        return "emerging" if self.low > 0 else "fading" if self.high < 0 else "steady"


@dataclass(frozen=True, eq=False)
class TopicTimes:
    """K topics over P periods of one unit, from the first to the last, empty ones among them.

    periods: their names.  totals: (P,) documents.  counts: (K, P) documents whose main topic it is.
    shares: (K, P) mean theta, NaN in an empty period.  low, high: (K, P) its percentile bootstrap over the
    documents of the period; of no width where none has the topic.
    terms: K lists of P lists, best first; few where few documents share one.
    undated: documents without a date.  outside: dated ones left out, see `assign_periods`.
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
) -> TopicTimes:
    """Counts, shares with bands, terms and trends of every topic.

    theta: (D, K).  timestamps: (D,) datetime64, NaT where a document has no date.
    counts: of the same documents.  unit: see `assign_periods`.  left_out: words that no list of terms shows.
    Raises ValueError when no document has a date.
    """
    periods = assign_periods(timestamps, unit)
    num_topics, num_periods = theta.shape[1], len(periods.starts)
    rows = np.flatnonzero(periods.index >= 0)
    rows = rows[np.argsort(periods.index[rows], kind="stable")]
    period, theta = periods.index[rows], theta[rows]
    totals = np.bincount(period, minlength=num_periods)
    cell = theta.argmax(axis=1) * num_periods + period
    sizes = np.bincount(cell, minlength=num_topics * num_periods)
    to_period = _membership(period, num_periods)
    with np.errstate(invalid="ignore"):
        shares = (to_period @ theta.astype(np.float64)) / totals[:, None]  # NaN in an empty period
    resampled = resampled_shares(theta, totals, num_bootstrap, seed)
    low, high = np.quantile(resampled, TAILS, axis=0)
    says = (counts.matrix[rows] > 0).astype(np.int32)
    scores = cell_scores(_membership(cell, len(sizes)) @ says, left_out_terms(counts, left_out))
    terms = [[counts.vocab[term] for term in found] for found in best_columns(scores, num_terms)]
    num_dated = int((~np.isnat(timestamps)).sum())
    return TopicTimes(
        unit=periods.unit,
        periods=periods.names,
        totals=totals,
        counts=sizes.reshape(num_topics, num_periods),
        shares=shares.T,
        low=low.T,
        high=high.T,
        trends=topic_trends(shares, totals, resampled),
        terms=[terms[start : start + num_periods] for start in range(0, len(terms), num_periods)],
        undated=len(timestamps) - num_dated,
        outside=num_dated - len(rows),
    )


def resampled_shares(theta: np.ndarray, totals: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Mean theta (num, P, K) of every period when its documents are drawn anew with replacement.

    theta: (D, K), the periods one after the other, totals (P,) documents in each. NaN in an empty period.
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
    """shares: (P, K), NaN in an empty period.  totals: (P,).  resampled: (B, P, K)."""
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


def left_out_terms(counts: NgramCounts, words: Collection[str]) -> np.ndarray:
    """Which terms (N,) are among the words or a pair of them."""
    listed = set(words)
    is_out = np.array([word in listed for word in counts.vocab], dtype=bool)
    return is_out | is_out[counts.parts].all(axis=1)


def cell_scores(counts: sparse.csr_matrix, is_out: np.ndarray) -> sparse.csr_matrix:
    """c-TF-IDF (Grootendorst 2022) of terms in cells, such as a topic in a period.

    counts: (C, N) documents of a cell that say a term.  The share of a term in the cell times log(1 + mean
    terms of a cell / documents that say it); 0 where it is out (N,), and where one document of the cell says
    it: cells are small, and the rare words of that document would come first.
    """
    counts = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    totals = np.asarray(counts.sum(axis=0)).ravel()
    mean = lengths.sum() / max(np.count_nonzero(lengths), 1)
    rarity = np.where(is_out, 0.0, np.log1p(mean / np.maximum(totals, 1)))
    counts.data[counts.data < FEWEST_DOCUMENTS] = 0
    scores = sparse.diags(1 / np.maximum(lengths, 1)) @ counts @ sparse.diags(rarity)
    return sparse.csr_matrix(scores)


def best_columns(scores: sparse.csr_matrix, num: int) -> Iterator[np.ndarray]:
    """At most num columns of every row with the highest values above 0, best first; ties by column."""
    values, columns, starts = (np.asarray(part) for part in (scores.data, scores.indices, scores.indptr))
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((columns, np.negative(values), rows))
    for start, stop in pairwise(starts.tolist()):
        best = order[start : min(stop, start + num)]
        yield columns[best[values[best] > 0]]


def _membership(group: np.ndarray, num_groups: int) -> sparse.csr_matrix:
    """(num_groups, N) with 1 where row n is in the group."""
    ones = np.ones(len(group))
    return sparse.csr_matrix((ones, (group, np.arange(len(group)))), shape=(num_groups, len(group)))
