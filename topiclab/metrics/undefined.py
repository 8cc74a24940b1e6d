"""UndefinedMetric: the reason why a metric has no value."""

from __future__ import annotations

import numpy as np


class UndefinedMetric(ValueError):
    """Raised if a metric is not defined; the message becomes the reason that accompanies its nan.

    per_topic: (K,) values of single topics, if some have one.
    is_passing: the reason may be gone the next time, such as an endpoint that is down.
    """

    def __init__(self, reason: str, per_topic: np.ndarray | None = None, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.per_topic, self.is_passing = per_topic, is_passing
