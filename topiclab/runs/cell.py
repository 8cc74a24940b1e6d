"""Cell: one configuration of a sweep, and what it may share with others."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from topiclab.config.checks import validate
from topiclab.config.compose import ConfigError, to_plain


@dataclass(frozen=True)
class Cell:
    """One configuration of a sweep.

    cfg: plain and resolved.  folder: where it runs.  is_reused: it was finished before the sweep.
    """

    overrides: tuple[str, ...]
    cfg: dict[str, Any]
    folder: Path
    is_reused: bool = False

    @property
    def group(self) -> tuple[str, str, str]:
        """Keys of what a process keeps for the next cell with the same ones: corpus, vectors, soft labels."""
        parts = (("data",), ("embedder", "mode", "embed_text", "input"), ("teacher",))
        data, vectors, labels = (_text([self.cfg.get(key) for key in part]) for part in parts)
        return data, vectors, labels

    @property
    def kind(self) -> tuple[str, ...]:
        """Task, data, model and objective; cells of one kind take about the same time."""
        return tuple(_name(self.cfg.get(group)) for group in ("task", "data", "model", "objective"))


def folder_of(composed: DictConfig) -> Path:
    """The folder in which Hydra will run this job of a sweep; ConfigError if it has no name, or leads out."""
    try:
        sweep = composed.hydra.sweep
        root, folder = Path(sweep.dir), Path(sweep.dir, sweep.subdir)
    except OmegaConfBaseException as error:
        raise ConfigError([f"{error.full_key}: {str(error).splitlines()[0]}"]) from error
    if not Path(os.path.normpath(folder)).is_relative_to(os.path.normpath(root)):
        raise ConfigError([f"{folder} leads out of {root}; give hydra.sweep.subdir without .."])
    return folder


def cell_of(overrides: Sequence[str], composed: DictConfig) -> Cell:
    """The cell of a configuration as Hydra composed it; ConfigError if values or groups are missing."""
    cfg = to_plain(composed)
    try:
        return Cell(tuple(overrides), cfg, folder_of(composed))
    except ConfigError as error:  # a missing group is why the folder has no name
        raise ConfigError(validate(cfg) or error.faults) from error


def labels_of(cells: Sequence[Sequence[str]]) -> list[str]:
    """A label for each cell: its overrides that are not common to all cells."""
    shared = set.intersection(*(set(overrides) for overrides in cells)) if len(cells) > 1 else set()
    return [" ".join(part for part in overrides if part not in shared) or "-" for overrides in cells]


def _text(node: Any) -> str:
    return json.dumps(node, sort_keys=True, default=str)


def _name(node: Mapping[str, Any] | None) -> str:
    return str((node or {}).get("name"))
