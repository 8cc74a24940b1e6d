"""Cells: contents of the run folders under outputs/<name>/, read without importing torch or any model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from topiclab.digest import is_sealed
from topiclab.report.tables.origin import Origin, origin_of
from topiclab.report.tables.plan import AXES, planned_axes, planned_cells, topics_of, topics_order

LAYOUT = re.compile(
    r"(?P<data>[^/]+)/(?P<model>[^/]+)/(?P<embedder>[^/]+)-(?P<mode>[^/-]+)/(?P<objective>[^/]+)"
    r"/K(?P<num_topics>\d+|auto)(/(?P<variant>.+))?/seed(?P<seed>\d+)"
)
TEACHER = re.compile(r"(?:^|,)teacher=(?P<teacher>[^,]+)")


@dataclass(frozen=True)
class Cell:
    """One run folder of task=fit, whose path follows LAYOUT; variant holds the remaining overrides.

    axes: the value of every name in AXES, read from the folder's path, so a failed cell has them too.
    status: done | failed | unreadable | missing.  reason: why it is not done.
    metrics: floats, NaN where a metric does not apply.  reasons: why it does not apply, by metric.
    seconds: wall time of the run.  config: configuration of the run, empty if not readable.
    chosen_topics: the number chosen by num_topics=auto; None if the number was given.
    origin: what it was made with and from; None unless done.
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
    origin: Origin | None = None

    @property
    def is_done(self) -> bool:
        return self.status == "done"


def collect_cells(root: Path, experiment: Path | None = None) -> list[Cell]:
    """Collect every cell under `root` (outputs/<name>), sorted by axes and seed.

    A folder without result.json is `missing`, and so is a cell that is only in `experiment` (the yaml of a
    grid). Raises FileNotFoundError if there is no cell.
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
    """Read the cell in `folder`, whose path matched LAYOUT; an unreadable file is a status, not an exception.

    teacher: used if the cell itself has none, since the head of an experiment is not part of the folder name.
    """
    axes = dict.fromkeys(AXES, "") | {name: place[name] or "" for name in AXES if name in place.groupdict()}
    axes |= {"experiment": experiment, "num_topics": topics_of(place["num_topics"]), "teacher": teacher}
    if match := TEACHER.search(axes["variant"]):
        axes["teacher"] = match["teacher"]
        axes["variant"] = TEACHER.sub("", axes["variant"]).strip(",")
    cell = {"folder": folder, "axes": axes, "seed": int(place["seed"])}
    path = folder / "result.json"
    if not path.exists():
        return Cell(**cell, status="missing", reason="no result.json: not started, still running or killed")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not is_sealed(found):
            raise ValueError("it does not match its checksum: damaged, or changed by hand")
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
            origin=origin_of(found) if found["status"] == "done" else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Cell(**cell, status="unreadable", reason=f"result.json: {type(error).__name__}: {error}")


def _missing_cells(root: Path, cells: Sequence[Cell], experiment: Path) -> list[Cell]:
    """Cells of the experiment's grid without a run folder, compared by the keys that the grid sweeps."""
    missing = []
    present: set[tuple[str, ...]] | None = None
    for planned in planned_cells(experiment):
        axes, seed = planned_axes(experiment, planned), int(planned.get("seed", 0))
        keys = [key for key in planned if key in (*AXES, "seed") or f"{key}=" in axes["variant"]]
        if present is None:
            present = {_choices(cell.axes, cell.seed, keys) for cell in cells}
        if _choices(axes, seed, keys) not in present:
            what = " ".join(f"{key}={value}" for key, value in planned.items())
            missing.append(Cell(root, axes, seed, "missing", f"no run folder for {what}"))
    return missing


def _choices(axes: Mapping[str, Any], seed: int, keys: Sequence[str]) -> tuple[str, ...]:
    """Values of a cell at these keys, '' where its folder name does not contain the key."""
    facts = {**options_of(axes["variant"]), **axes, "seed": seed}
    return tuple(str(facts.get(key, "")) for key in keys)


def options_of(variant: str) -> dict[str, str]:
    """Parse a variant to {key: value}; commas inside lists are kept."""
    parts = re.findall(r"(?:[^,\[]|\[[^\]]*\])+", variant)
    return {key: value for key, _, value in (part.partition("=") for part in parts)}


def _sort_key(cell: Cell) -> tuple[Any, ...]:
    before = AXES[: AXES.index("num_topics")]
    texts = tuple(str(cell.axes[axis]) for axis in before)
    return (*texts, topics_order(cell.axes["num_topics"]), cell.axes["variant"], cell.seed)
