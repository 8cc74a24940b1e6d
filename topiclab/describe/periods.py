"""Periods: dates to numbered days, weeks, months, quarters, years or decades, and their names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

# From fine to coarse: numpy's unit, how many of them are one period, and how many before 1970-01-01 its own
# period starts: weeks start on Monday, and that day was a Thursday.
UNITS = {
    "day": ("D", 1, 0),
    "week": ("D", 7, 3),
    "month": ("M", 1, 0),
    "quarter": ("M", 3, 0),
    "year": ("Y", 1, 0),
    "decade": ("Y", 10, 0),
}
FEWEST, MOST = 8, 40  # periods that a unit is chosen for
MAX_NAMED = 500  # periods of a unit that is asked for
DOCUMENTS = 50  # on average in a period, for a finer unit where a coarser one would do
TRIMMED = 0.01  # of the documents at either end, where all of them would take more than MOST periods


@dataclass(frozen=True, eq=False)
class Periods:
    """P periods of one unit from the first to the last, empty ones among them.

    starts: (P,) datetime64[D], their first days.
    index: (D,) int64 period of every document; -1 without a date, or outside of the periods.
    """

    unit: str
    starts: np.ndarray
    index: np.ndarray

    @property
    def names(self) -> list[str]:
        return [period_name(start.item(), self.unit) for start in self.starts]


def assign_periods(timestamps: np.ndarray, unit: str = "auto") -> Periods:
    """The periods of documents; timestamps: (D,) datetime64, NaT where a document has no date.

    unit: one of UNITS: the periods hold all dates. auto: the finest that gives 8 to 40 periods of 50
    documents on average, else the coarsest that gives 8 to 40, else the finest that gives at most 40; where
    all dates would take more than 40, the first and last percent of the documents are left out.
    Raises ValueError when no document has a date, for an unknown unit, and for more than MAX_NAMED periods.
    """
    if unit != "auto" and unit not in UNITS:
        raise ValueError(f"unit={unit} is no period; use auto, {', '.join(UNITS)}")
    is_dated = ~np.isnat(timestamps)
    dated = timestamps[is_dated]
    if not len(dated):
        raise ValueError(
            f"none of {len(timestamps)} documents has a date, which topics over time need; "
            "use a corpus with timestamps"
        )
    chosen = _choose(dated) if unit == "auto" else unit
    numbers = _numbers(dated, chosen)
    first, last = numbers.min(), numbers.max()
    if unit == "auto" and last - first >= MOST:
        first, last = _central(numbers)
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
    """Such as 2025-01-31, 2025-W05 (ISO 8601), 2025-01, 2025-Q1, 2025 or 2020s."""
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


def _numbers(dated: np.ndarray, unit: str) -> np.ndarray:
    """Period numbers (N,) int64 of dates; 0 holds 1970-01-01."""
    name, length, offset = UNITS[unit]
    return (dated.astype(f"datetime64[{name}]").astype(np.int64) + offset) // length


def _choose(dated: np.ndarray) -> str:
    spans = {}
    for unit in UNITS:
        numbers = _numbers(dated, unit)
        first, last = numbers.min(), numbers.max()
        if last - first >= MOST:
            first, last = _central(numbers)
        spans[unit] = int(last - first) + 1
    fitting = [unit for unit, span in spans.items() if FEWEST <= span <= MOST]
    for unit in fitting:
        if len(dated) >= DOCUMENTS * spans[unit]:
            return unit
    if fitting:
        return fitting[-1]
    return next((unit for unit, span in spans.items() if span <= MOST), "decade")


def _central(numbers: np.ndarray) -> tuple[int, int]:
    """The periods of the documents without the first and last percent of them."""
    ordered = np.sort(numbers)
    cut = int(TRIMMED * len(ordered))
    return int(ordered[cut]), int(ordered[len(ordered) - 1 - cut])
