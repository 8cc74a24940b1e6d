"""UndefinedMetric: why a metric has no value here."""

from __future__ import annotations

import numpy as np


class UndefinedMetric(ValueError):
    """Raised where a metric is not defined; the message becomes the reason that stands beside its nan.

    per_topic: (K,) the values of single topics where some do have one.
    """

    def __init__(self, reason: str, per_topic: np.ndarray | None = None) -> None:
        super().__init__(reason)
        self.per_topic = per_topic
