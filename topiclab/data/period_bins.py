"""Bins of time: the periods of a dynamic topic model, and the period of any document."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from topiclab.data.periods import UNITS, assign_periods, period_name

log = logging.getLogger(__name__)

PERIODS = "periods.json"  # of a run folder: the words of every topic in every period
STATIC = "none"  # one period for all documents, whose dates are then not read
Unit = Literal["auto", "none", "day", "week", "month", "quarter", "year", "decade"]
KINDS = (STATIC, *UNITS)


@dataclass(frozen=True, eq=False)
class PeriodBins:
    """T periods that hold training documents, in order; those without any are passed over.

    starts: (T,) datetime64[D], their first days.  unit: one of KINDS.
    """

    unit: str
    starts: np.ndarray

    @classmethod
    def of(cls, timestamps: np.ndarray | None, unit: Unit, name: str) -> PeriodBins:
        """The periods of training documents.

        timestamps: (N,) datetime64; None for a corpus without dates.  name: of the corpus, for messages.
        unit: see `assign_periods`; none is one period for all.  With auto, documents outside the periods, at
        most the first and last percent, belong to the first or last one.
        Raises ValueError without dates, where some are missing, and for fewer than two periods.
        """
        if unit == STATIC:
            return cls(STATIC, np.array(["1970-01-01"], "datetime64[D]"))
        way_out = "or use model.period=none, a model without time"
        if timestamps is None:
            raise ValueError(
                f"this model reads dates, but {name} has none; name data.timestamp_column (in Python "
                f"timestamps=), {way_out}"
            )
        if undated := int(np.isnat(timestamps).sum()):
            raise ValueError(
                f"{undated} of {len(timestamps)} training documents of {name} have no date; remove them, "
                f"fill their dates, {way_out}"
            )
        periods = assign_periods(timestamps, unit)
        held = np.unique(periods.index[periods.index >= 0])
        if len(held) < 2:
            raise ValueError(
                f"all training documents of {name} fall into one {periods.unit}, "
                f"{period_name(periods.starts[0].item(), periods.unit)}; use a finer model.period, {way_out}"
            )
        return cls(periods.unit, periods.starts[held])

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def is_static(self) -> bool:
        return self.unit == STATIC

    @property
    def names(self) -> list[str]:
        if self.is_static:
            return ["all"]
        return [period_name(start.item(), self.unit) for start in self.starts]

    def index(self, timestamps: np.ndarray | None, num_docs: int) -> np.ndarray:
        """Period (N,) int64 of documents: the last one that has begun; the first for earlier documents.

        timestamps: (N,) datetime64.  Raises ValueError where a date is missing.
        """
        if self.is_static:
            return np.zeros(num_docs, np.int64)
        if timestamps is None:
            raise ValueError(
                "this model was fitted over time and needs the dates of the documents; give timestamps= or "
                "data.timestamp_column"
            )
        if (missing := np.flatnonzero(np.isnat(timestamps))).size:
            raise ValueError(
                f"{len(missing)} of {num_docs} documents have no date, the first is number {missing[0] + 1}; "
                "remove them or fill their dates: this model's topics depend on the period"
            )
        begun = np.searchsorted(self.starts, timestamps.astype("datetime64[D]"), side="right") - 1
        return np.maximum(begun, 0)

    def packed(self) -> np.ndarray:
        """The bins as an array (1 + T,) int64: the place of the unit in KINDS, then days since 1970."""
        return np.concatenate([[KINDS.index(self.unit)], self.starts.astype(np.int64)])

    @classmethod
    def unpacked(cls, packed: np.ndarray) -> PeriodBins:
        """The bins that `packed` gave; ValueError if they are damaged."""
        numbers = np.asarray(packed, np.int64).ravel()
        if len(numbers) < 2 or not 0 <= numbers[0] < len(KINDS) or (np.diff(numbers[1:]) <= 0).any():
            raise ValueError("the saved model has damaged periods; fit it again")
        return cls(KINDS[int(numbers[0])], numbers[1:].astype("datetime64[D]"))
