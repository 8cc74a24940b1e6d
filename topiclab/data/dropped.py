"""Dropped records of a source: which rows have no document in the corpus, and why."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np

BLANK, DUPLICATE, UNSAMPLED = "blank", "duplicate", "not in the sample"
REASONS = (BLANK, DUPLICATE, UNSAMPLED)


class Numbered(Protocol):
    """A record that knows its row in the source."""

    @property
    def row(self) -> int | None: ...


R = TypeVar("R", bound=Numbered)


class Dropped:
    """Rows of the source without a document, with the reason; 9 bytes for each of them.

    ids: by row, of blank and repeated records to which the source gives one.
    """

    def __init__(self) -> None:
        self._rows, self._reasons = array("q"), array("b")
        self.ids: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int, reason: str, identity: str | None = None) -> None:
        """Note one record."""
        self._rows.append(row)
        self._reasons.append(REASONS.index(reason))
        if identity is not None:
            self.ids[row] = str(identity)

    def unless_drawn(self, documents: Iterable[R]) -> Iterator[R]:
        """Pass documents on and note all of them as UNSAMPLED; `drawn` takes back those of the sample."""
        for document in documents:
            assert document.row is not None
            self.add(document.row, UNSAMPLED)
            yield document

    def drawn(self, documents: Iterable[Numbered]) -> None:
        """Take documents of a sample back that `unless_drawn` has noted."""
        is_left = ~np.isin(self.rows, np.array([document.row for document in documents], np.int64))
        rows, reasons = self.rows[is_left], self.reasons[is_left]
        self._rows, self._reasons = array("q", rows.tobytes()), array("b", reasons.tobytes())

    @property
    def rows(self) -> np.ndarray:
        """Rows (N,) int64 in the order in which they were noted."""
        return np.array(self._rows, np.int64)

    @property
    def reasons(self) -> np.ndarray:
        """Reasons (N,) int8, index into REASONS."""
        return np.array(self._reasons, np.int8)

    def counts(self) -> dict[str, int]:
        """Number of records by reason, without those of 0."""
        found = np.bincount(self.reasons, minlength=len(REASONS)).tolist()
        return {reason: count for reason, count in zip(REASONS, found, strict=True) if count}

    def message(self, num_read: int) -> str:
        """Sentence for the log: how many of the records that were read have no document, and why."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.counts().items())
        return f"{len(self)} of {num_read} records are not among the documents: {reasons}"
