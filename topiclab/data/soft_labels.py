"""Soft labels of a corpus: for every document a distribution over the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Logits of D documents over V words: all words, or each document's top k.

    logits: float16, each row shifted so that its largest is 0; (D, V), or (D, k) at `words`.
    words: (D, k) int32 by descending logit, or None where all words are stored.
    peaks: (D,) float32, the largest logit, subtracted from each row.
    residual: (D,) float32, probability at temperature 1 of the words left out; None where all are stored.
    vectors: (D, E) the teacher's state of each document, or None.
    temperature: the default at which logits become distributions.
    key: sha256 of all that the labels depend on.  seconds: of this call, near 0 when is_cached.
    """

    logits: np.ndarray
    words: np.ndarray | None
    peaks: np.ndarray
    residual: np.ndarray | None
    vectors: np.ndarray | None
    num_words: int
    temperature: float
    key: str
    manifest: dict[str, Any]
    is_cached: bool
    seconds: float

    @property
    def num_docs(self) -> int:
        return len(self.logits)

    def most_likely(self, rows: np.ndarray, num: int) -> np.ndarray:
        """Ids (n, num) of the teacher's likeliest words, in order."""
        if self.words is not None:
            return self.words[rows, :num]
        return np.argsort(-self.logits[rows].astype(np.float32), axis=1, kind="stable")[:, :num]

    def raw_logits(self, rows: slice) -> np.ndarray:
        """Logits (n, V) float32 as the teacher gave them, -inf at words that are not stored."""
        values = self.logits[rows].astype(np.float32) + self.peaks[rows, None]
        if self.words is None:
            return values
        dense = np.full((len(values), self.num_words), -np.inf, np.float32)
        np.put_along_axis(dense, self.words[rows].astype(np.int64), values, axis=1)
        return dense
