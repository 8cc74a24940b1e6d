"""Outcome: what a task returns and result.json holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from topiclab.digest import FileFacts
from topiclab.runs.contents import Input


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


class Hardware(TypedDict):
    """Kind of the device (None: the fit used none), number of CPU threads, and precision: fp32 or bf16."""

    device: str | None
    num_threads: int
    precision: str


class Recorded(TypedDict, total=False):
    """The part of result.json that runs of earlier versions lack.

    inputs: path -> what the run read there.  hardware: what it used.  files: of the run, by their path in it.
    unfinished: parts that the same line still has to do.
    """

    inputs: dict[str, Input]
    hardware: Hardware
    files: dict[str, FileFacts]
    unfinished: list[str]


class Finished(Recorded):
    """result.json: what an Outcome says, and the configuration that led to it; reason: of a failure."""

    status: Literal["done", "failed"]
    reason: str | None
    config: dict[str, Any]
    config_hash: str
    metrics: dict[str, float | None]
    reasons: dict[str, str]
    seconds: dict[str, float]
    seconds_total: float
    manifest: dict[str, Any]
