"""Plans: the definition of a table and the cells of a grid, read only from experiments/ and conf/."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from topiclab.config.compose import conf_dir
from topiclab.report.tables.places import find_grid, find_table, name_in

GROUPS = ("data", "model", "embedder", "mode", "objective", "teacher")
AUTO = "auto"
AXES = ("experiment", *GROUPS, "num_topics", "variant")


@dataclass(frozen=True)
class Controls:
    """Controls that are compared with every row of `target` in the layout of `controls.py`.

    target: an objective.  objectives: other objectives with the same model and start.
    models: such as kmeans, from any grid.  starts: display name of the start of each grid.
    """

    target: str
    objectives: tuple[str, ...]
    models: tuple[str, ...]
    starts: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """Definition of the report NAME: a <table>.table.yaml of a system, or one grid with the defaults.

    grids: names of the experiments whose cells are used.  metrics: columns; empty for the default ones.
    over: axes averaged over; the standard deviation is over the seed.
    reference: system whose published numbers (reference.csv) are shown next to ours.
    check: a claim that is tested over the cells (report/checks); the report then ends in a verdict.
    parts: tables that make up this one, which then has no columns of its own.
    """

    name: str
    title: str = ""
    grids: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    over: tuple[str, ...] = ("seed",)
    reference: str | None = None
    controls: Controls | None = None
    check: str | None = None
    notes: tuple[str, ...] = ()
    parts: tuple[Table, ...] = ()


def read_table(experiments: Path, name: str) -> Table:
    """Read the table of a name (dsl_main) or place (dsl/main); raise ValueError for an unknown key."""
    path = find_table(experiments, name)
    if path is None:
        grid = find_grid(experiments, name)
        name = name_in(grid) if grid else name
        return Table(name, grids=(name,))
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {entry.name for entry in fields(Table)}
    if unknown := sorted(found.keys() - known):
        raise ValueError(f"{path}: no such key: {', '.join(unknown)}; there are: {' '.join(sorted(known))}")
    parts = [read_table(experiments, part) for part in found.pop("parts", ())]
    if parts:
        found["grids"] = list(dict.fromkeys(grid for part in parts for grid in part.grids))
    controls = found.pop("controls", None)
    return Table(
        name=found.pop("name", name_in(path)),
        parts=tuple(parts),
        controls=Controls(**_with_tuples(controls)) if controls else None,
        **_with_tuples(found),
    )


def _with_tuples(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in node.items()}


def planned_cells(experiment: Path) -> list[dict[str, str]]:
    """Every combination of an experiment's sweep parameters, parsed as by Hydra (lists, range(0,5), ...)."""
    params = OmegaConf.select(OmegaConf.load(experiment), "hydra.sweeper.params", default={})
    choices = [[(key, value) for value in values] for key, values in sweep_values(params).items()]
    return [dict(combination) for combination in itertools.product(*choices)]


def sweep_values(params: Mapping[str, object]) -> dict[str, list[str]]:
    """Values of each key of a sweep, parsed as by Hydra: a,b, range(0,5), or one value."""
    lines = [f"{key}={values}" for key, values in params.items()]
    return {
        override.get_key_element(): list(override.sweep_string_iterator())
        if override.is_sweep_override()
        else [override.get_value_element_as_str()]
        for override in OverridesParser.create().parse_overrides(lines)
    }


def planned_axes(experiment: Path, planned: Mapping[str, str]) -> dict[str, Any]:
    """Values of AXES of a planned cell, from conf/, then the experiment's head, then its sweep."""
    choices = {**_defaults(conf_dir() / "config.yaml"), **_defaults(experiment), **planned}
    options = sorted(
        f"{key}={value}" for key, value in planned.items() if key not in _unnamed_keys() and key not in AXES
    )
    axes = {group: name_of(choices.get(group, "")) for group in GROUPS}
    num_topics = topics_of(choices["num_topics"])
    return {"experiment": name_in(experiment), **axes, "num_topics": num_topics, "variant": ",".join(options)}


def topics_of(text: str | int) -> int | str:
    """Parse num_topics of a line or folder: a number, or auto."""
    return AUTO if text == AUTO else int(text)


def topics_order(num_topics: int | str) -> tuple[bool, int | str]:
    """Sort key: numbers first, then auto."""
    return isinstance(num_topics, str), num_topics


def name_of(option: str) -> str:
    """Name of a group's option: the last part of its path, so published/prodlda is prodlda."""
    return option.rpartition("/")[2]


@cache
def _defaults(path: Path) -> dict[str, Any]:
    """Options chosen by the defaults list of a primary config, and its num_topics."""
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(config, dict)
    entries = [entry for entry in config.get("defaults", ()) if isinstance(entry, dict)]
    chosen = {str(key).split()[-1].lstrip("/"): value for entry in entries for key, value in entry.items()}
    return chosen | {key: config[key] for key in ("num_topics",) if key in config}


@cache
def _unnamed_keys() -> frozenset[str]:
    """Keys that are not part of a run folder's name."""
    keys = "hydra.job.config.override_dirname.exclude_keys"
    return frozenset(OmegaConf.select(OmegaConf.load(conf_dir() / "config.yaml"), keys))
