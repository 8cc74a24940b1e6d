"""Cells: what the run folders under outputs/<name>/ say, read without importing torch or any model."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

AXES = ("data", "model", "embedder", "mode", "objective", "num_topics", "variant")
LAYOUT = re.compile(
    r"(?P<data>[^/]+)/(?P<model>[^/]+)/(?P<embedder>[^/]+)-(?P<mode>[^/-]+)/(?P<objective>[^/]+)"
    r"/K(?P<num_topics>\d+)(/(?P<variant>.+))?/seed(?P<seed>\d+)"
)


@dataclass(frozen=True)
class Cell:
    """One run folder of task=fit, whose place follows LAYOUT; variant is what else its line set.

    axes: the value of every name in AXES; the folder's place says them, so a failed cell has them too.
    status: done | failed | unreadable | missing; reason says why it is not done.
    metrics: floats, nan where a metric does not apply; reasons: why it does not.
    seconds: wall time of the run.
    """

    folder: Path
    axes: dict[str, Any]
    seed: int
    status: str
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seconds: float = float("nan")

    @property
    def is_done(self) -> bool:
        return self.status == "done"


def collect_cells(root: Path, experiment: Path | None = None) -> list[Cell]:
    """Every cell under `root` (outputs/<name>), sorted by axes and seed.

    A folder without result.json is `missing`, and so is a cell that only `experiment` (an experiments/*.yaml)
    knows. Raises FileNotFoundError when there is no cell.
    """
    places = [path for path in root.glob("**/seed*") if path.is_dir()]
    found = [(path, LAYOUT.fullmatch(path.relative_to(root).as_posix())) for path in places]
    cells = [read_cell(path, match) for path, match in found if match]
    if not cells:
        raise FileNotFoundError(f"no run under {root}; `python -m topiclab name={root.name}` makes one")
    if experiment is not None:
        cells += _missing_cells(root, cells, experiment)
    return sorted(cells, key=_sort_key)


def read_cell(folder: Path, place: re.Match[str]) -> Cell:
    """The cell in `folder`, whose place matched LAYOUT; an unreadable file is a status, no exception."""
    axes = {axis: place[axis] or "" for axis in AXES} | {"num_topics": int(place["num_topics"])}
    cell = {"folder": folder, "axes": axes, "seed": int(place["seed"])}
    path = folder / "result.json"
    if not path.exists():
        return Cell(**cell, status="missing", reason="no result.json: not started, still running or killed")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        metrics = found["metrics"] if found["status"] == "done" else {}
        return Cell(
            **cell,
            status=found["status"],
            reason=str(found.get("reason") or ""),
            metrics={name: float("nan" if value is None else value) for name, value in metrics.items()},
            reasons=dict(found.get("reasons") or {}),
            seconds=float(found["seconds_total"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Cell(**cell, status="unreadable", reason=f"result.json: {type(error).__name__}: {error}")


def group_cells(cells: Sequence[Cell]) -> dict[tuple[Any, ...], list[Cell]]:
    """Cells that differ in nothing but the seed, by their values of AXES."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.axes.values()), []).append(cell)
    return groups


def _missing_cells(root: Path, cells: Sequence[Cell], experiment: Path) -> list[Cell]:
    """The cells of the experiment's grid that have no run folder yet."""
    missing = []
    for planned in planned_cells(experiment):
        wanted = {key: value for key, value in planned.items() if key in (*AXES, "seed")}
        if not any(_matches(cell, wanted) for cell in cells):
            axes = {axis: wanted.get(axis, "") for axis in AXES}
            what = " ".join(f"{key}={value}" for key, value in planned.items())
            missing.append(
                Cell(root, axes, int(wanted.get("seed", 0)), "missing", f"no run folder for {what}")
            )
    return missing


def planned_cells(experiment: Path) -> list[dict[str, str]]:
    """Every combination of an experiment's sweep parameters, as Hydra reads them (lists, range(0,5), ...)."""
    params = OmegaConf.select(OmegaConf.load(experiment), "hydra.sweeper.params", default={})
    parsed = OverridesParser.create().parse_overrides([f"{key}={values}" for key, values in params.items()])
    choices = [
        [(override.get_key_element(), value) for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [(override.get_key_element(), override.get_value_element_as_str())]
        for override in parsed
    ]
    return [dict(combination) for combination in itertools.product(*choices)]


def _matches(cell: Cell, wanted: Mapping[str, str]) -> bool:
    facts = cell.axes | {"seed": cell.seed}
    return all(str(facts[key]) == value for key, value in wanted.items())


def _sort_key(cell: Cell) -> tuple[Any, ...]:
    texts = tuple(str(cell.axes[axis]) for axis in AXES if axis != "num_topics")
    num_topics = cell.axes["num_topics"]
    return (*texts[:5], num_topics if isinstance(num_topics, int) else -1, *texts[5:], cell.seed)
