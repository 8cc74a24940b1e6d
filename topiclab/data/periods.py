"""Periods: dates as numbered days, weeks, months, quarters, years or decades, and the names of these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

# From fine to coarse: numpy's unit, the number of them in one period, and the number between the start of the
# period of 1970-01-01 and that day: weeks start on Monday, and it was a Thursday.
UNITS = {
    "day": ("D", 1, 0),
    "week": ("D", 7, 3),
    "month": ("M", 1, 0),
    "quarter": ("M", 3, 0),
    "year": ("Y", 1, 0),
    "decade": ("Y", 10, 0),
}
MIN_PERIODS, MAX_PERIODS = 8, 40  # of an automatically chosen unit
MAX_NAMED = 500  # of a unit given by the user
DOCUMENTS = 50  # per period on average, to choose a finer unit although a coarser one fits
# If even decades would be more than MAX_PERIODS, only dates count that lie within this many interquartile
# ranges of the quartiles, at least FENCE_DAYS: single dates centuries away are errors, not a reason to fail.
FENCE, FENCE_DAYS = 5, 3653
TRIMMED = 0.01  # share of the documents left out at either end, if all would take more than MAX_PERIODS


@dataclass(frozen=True, eq=False)
class Periods:
    """P periods of one unit from the first to the last, including empty ones.

    starts: (P,) datetime64[D], their first days.
    index: (D,) int64 period of every document; -1 without a date or outside the periods.
    """

    unit: str
    starts: np.ndarray
    index: np.ndarray

    @property
    def names(self) -> list[str]:
        return [period_name(start.item(), self.unit) for start in self.starts]


def assign_periods(timestamps: np.ndarray, unit: str = "auto") -> Periods:
    """Assign documents to periods; timestamps: (D,) datetime64, NaT where a document has no date.

    unit: one of UNITS, whose periods cover all dates; or auto: the finest that gives 8 to 40 periods of 50
    documents on average, else the coarsest that gives 8 to 40, else the finest that gives at most 40; if all
    dates would take more than 40 periods, the first and last percent of the documents are left out.
    Raises ValueError if no document has a date, the unit is unknown, or a given unit makes more than
    MAX_NAMED periods.
    """
    if unit != "auto" and unit not in UNITS:
        raise ValueError(f"unit={unit} is not a period; use auto, {', '.join(UNITS)}")
    is_dated = ~np.isnat(timestamps)
    dated = timestamps[is_dated]
    if not len(dated):
        raise ValueError(
            f"none of the {len(timestamps)} documents has a date, but topics over time need dates; "
            "use a corpus with timestamps"
        )
    chosen = _choose(dated) if unit == "auto" else unit
    if unit == "auto" and chosen == "decade":
        chosen = _choose(_near(dated))
    numbers = _numbers(dated, chosen)
    first, last = numbers.min(), numbers.max()
    if unit == "auto" and last - first >= MAX_PERIODS:
        first, last = _central(numbers)
        if last - first >= MAX_PERIODS:
            near = _numbers(_near(dated), chosen)
            first, last = max(first, near.min()), min(last, near.max())
    if last - first >= MAX_NAMED:
        raise ValueError(
            f"unit={unit} makes {last - first + 1} periods of {dated.min()} to {dated.max()}, more than "
            f"{MAX_NAMED}; use a coarser one, or auto"
        )
    index = np.full(len(timestamps), -1)
    index[is_dated] = np.where((numbers >= first) & (numbers <= last), numbers - first, -1)
    name, length, offset = UNITS[chosen]
    starts = (np.arange(first, last + 1) * length - offset).astype(f"datetime64[{name}]")
    return Periods(chosen, starts.astype("datetime64[D]"), index)


def period_name(start: date, unit: str) -> str:
    """Name of a period, such as 2025-01-31, 2025-W05 (ISO 8601), 2025-01, 2025-Q1, 2025 or 2020s."""
    if unit == "day":
        return start.isoformat()
    if unit == "week":
        year, week, _ = start.isocalendar()
        return f"{year}-W{week:02d}"
    year = f"{start.year:04d}"
    endings = {
        "month": f"-{start.month:02d}",
        "quarter": f"-Q{(start.month + 2) // 3}",
        "year": "",
        "decade": "s",
    }
    return year + endings[unit]


def _near(dated: np.ndarray) -> np.ndarray:
    """Dates that stand near the bulk; all of them, unless they take more than MAX_PERIODS decades."""
    first, last = _central(_numbers(dated, "decade"))
    if last - first < MAX_PERIODS:
        return dated
    days = dated.astype("datetime64[D]").astype(np.int64)
    low, high = np.quantile(days, [0.25, 0.75])
    reach = max(FENCE * (high - low), FENCE_DAYS)
    return dated[(days >= low - reach) & (days <= high + reach)]


def _numbers(dated: np.ndarray, unit: str) -> np.ndarray:
    """Period numbers (N,) int64 of dates; period 0 contains 1970-01-01."""
    name, length, offset = UNITS[unit]
    return (dated.astype(f"datetime64[{name}]").astype(np.int64) + offset) // length


def _choose(dated: np.ndarray) -> str:
    spans = {}
    for unit in UNITS:
        numbers = _numbers(dated, unit)
        first, last = numbers.min(), numbers.max()
        if last - first >= MAX_PERIODS:
            first, last = _central(numbers)
        spans[unit] = int(last - first) + 1
    fitting = [unit for unit, span in spans.items() if MIN_PERIODS <= span <= MAX_PERIODS]
    for unit in fitting:
        if len(dated) >= DOCUMENTS * spans[unit]:
            return unit
    if fitting:
        return fitting[-1]
    return next((unit for unit, span in spans.items() if span <= MAX_PERIODS), "decade")


def _central(numbers: np.ndarray) -> tuple[int, int]:
    """First and last period without the first and last percent of the documents."""
    ordered = np.sort(numbers)
    cut = int(TRIMMED * len(ordered))
    return int(ordered[cut]), int(ordered[len(ordered) - 1 - cut])
