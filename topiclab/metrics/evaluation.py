"""Evaluation: the metrics of one result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """Metrics by name.

    metrics: nan where one is not defined, and then `reasons` says why.
    per_topic: K values of the metrics that are means over topics.
    unfinished: names of metrics that are not defined for a reason that may pass.
    """

    metrics: dict[str, float]
    reasons: dict[str, str]
    per_topic: dict[str, list[float]]
    unfinished: tuple[str, ...] = ()

    def __or__(self, other: Evaluation) -> Evaluation:
        """The metrics of both; those of `other` where a name is in both."""
        return Evaluation(
            self.metrics | other.metrics,
            self.reasons | other.reasons,
            self.per_topic | other.per_topic,
            tuple(name for name in self.unfinished if name not in other.metrics) + other.unfinished,
        )
