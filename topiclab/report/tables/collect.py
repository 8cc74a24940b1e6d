"""Cells: what the run folders under outputs/<name>/ say, read without importing torch or any model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from topiclab.report.tables.plan import AXES, planned_axes, planned_cells, topics_of, topics_order

LAYOUT = re.compile(
    r"(?P<data>[^/]+)/(?P<model>[^/]+)/(?P<embedder>[^/]+)-(?P<mode>[^/-]+)/(?P<objective>[^/]+)"
    r"/K(?P<num_topics>\d+|auto)(/(?P<variant>.+))?/seed(?P<seed>\d+)"
)
TEACHER = re.compile(r"(?:^|,)teacher=(?P<teacher>[^,]+)")


@dataclass(frozen=True)
class Cell:
    """One run folder of task=fit, whose place follows LAYOUT; variant is what else its line set.

    axes: the value of every name in AXES; the folder's place says them, so a failed cell has them too.
    status: done | failed | unreadable | missing; reason says why it is not done.
    metrics: floats, nan where a metric does not apply; reasons: why it does not.
    seconds: wall time of the run.  config: what it was run with, empty when it is not done.
    chosen_topics: the number that num_topics=auto came to; None for a given one.
    """

    folder: Path
    axes: dict[str, Any]
    seed: int
    status: str
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seconds: float = float("nan")
    config: Mapping[str, Any] = field(default_factory=dict)
    chosen_topics: int | None = None

    @property
    def is_done(self) -> bool:
        return self.status == "done"


def collect_cells(root: Path, experiment: Path | None = None) -> list[Cell]:
    """Every cell under `root` (outputs/<name>), sorted by axes and seed.

    A folder without result.json is `missing`, and so is a cell that only `experiment` (the yaml of a grid)
    knows. Raises FileNotFoundError when there is no cell.
    """
    places = [path for path in root.glob("**/seed*") if path.is_dir()]
    found = [(path, LAYOUT.fullmatch(path.relative_to(root).as_posix())) for path in places]
    teacher = "" if experiment is None else planned_axes(experiment, {})["teacher"]
    cells = [read_cell(path, root.name, match, teacher) for path, match in found if match]
    if experiment is not None:
        cells += _missing_cells(root, cells, experiment)
    if not cells:
        raise FileNotFoundError(f"no run under {root}; `python -m topiclab name={root.name}` makes one")
    return sorted(cells, key=_sort_key)


def read_cell(folder: Path, experiment: str, place: re.Match[str], teacher: str = "") -> Cell:
    """The cell in `folder`, whose place matched LAYOUT; an unreadable file is a status, no exception.

    teacher: of a cell that does not say it: a head of an experiment leaves no trace in the folder's name.
    """
    axes = dict.fromkeys(AXES, "") | {name: place[name] or "" for name in AXES if name in place.groupdict()}
    axes |= {"experiment": experiment, "num_topics": topics_of(place["num_topics"]), "teacher": teacher}
    if told := TEACHER.search(axes["variant"]):
        axes["teacher"] = told["teacher"]
        axes["variant"] = TEACHER.sub("", axes["variant"]).strip(",")
    cell = {"folder": folder, "axes": axes, "seed": int(place["seed"])}
    path = folder / "result.json"
    if not path.exists():
        return Cell(**cell, status="missing", reason="no result.json: not started, still running or killed")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        config = found.get("config") or {}
        axes["teacher"] = config.get("teacher", {}).get("name", axes["teacher"])
        metrics = found["metrics"] if found["status"] == "done" else {}
        return Cell(
            **cell,
            status=found["status"],
            reason=str(found.get("reason") or ""),
            metrics={name: float("nan" if value is None else value) for name, value in metrics.items()},
            reasons=dict(found.get("reasons") or {}),
            seconds=float(found["seconds_total"]),
            config=config,
            chosen_topics=(found.get("manifest") or {}).get("select_k", {}).get("num_topics"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Cell(**cell, status="unreadable", reason=f"result.json: {type(error).__name__}: {error}")


def _missing_cells(root: Path, cells: Sequence[Cell], experiment: Path) -> list[Cell]:
    """The cells of the experiment's grid that have no run folder yet, told by what the grid sweeps."""
    missing = []
    standing: set[tuple[str, ...]] | None = None
    for planned in planned_cells(experiment):
        axes, seed = planned_axes(experiment, planned), int(planned.get("seed", 0))
        keys = [key for key in planned if key in (*AXES, "seed") or f"{key}=" in axes["variant"]]
        if standing is None:
            standing = {_choices(cell.axes, cell.seed, keys) for cell in cells}
        if _choices(axes, seed, keys) not in standing:
            what = " ".join(f"{key}={value}" for key, value in planned.items())
            missing.append(Cell(root, axes, seed, "missing", f"no run folder for {what}"))
    return missing


def _choices(axes: Mapping[str, Any], seed: int, keys: Sequence[str]) -> tuple[str, ...]:
    """What a cell has at these keys, '' where its folder does not say."""
    facts = {**options_of(axes["variant"]), **axes, "seed": seed}
    return tuple(str(facts.get(key, "")) for key in keys)


def options_of(variant: str) -> dict[str, str]:
    """{key: value} of a variant, whose lists keep their commas."""
    parts = re.findall(r"(?:[^,\[]|\[[^\]]*\])+", variant)
    return {key: value for key, _, value in (part.partition("=") for part in parts)}


def _sort_key(cell: Cell) -> tuple[Any, ...]:
    before = AXES[: AXES.index("num_topics")]
    texts = tuple(str(cell.axes[axis]) for axis in before)
    return (*texts, topics_order(cell.axes["num_topics"]), cell.axes["variant"], cell.seed)
