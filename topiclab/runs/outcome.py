"""Outcome: what a task returns and result.json holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Numbers of one cell, and how they were obtained.

    metrics: values by name; nan, infinite or None where one is not defined.
    reasons: why a metric is not defined, by its name.
    seconds: wall seconds of the stages.
    manifest: facts about the inputs and the work, in plain containers, numbers, texts and paths.
    unfinished: parts that are missing for a reason that may pass; the same line does them alone.
    """

    metrics: Mapping[str, float | None]
    reasons: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float]
    manifest: Mapping[str, Any]
    unfinished: Sequence[str] = ()


class Saved(TypedDict):
    """result.json of every version."""

    status: Literal["done", "failed"]
    reason: str | None
    config: dict[str, Any]
    config_hash: str
    metrics: dict[str, float | None]
    reasons: dict[str, str]
    seconds: dict[str, float]
    seconds_total: float
    manifest: dict[str, Any]


class Finished(Saved, total=False):
    """result.json: what an Outcome says, and the configuration that led to it; reason: of a failure."""

    unfinished: list[str]
