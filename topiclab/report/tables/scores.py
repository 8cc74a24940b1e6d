"""Scores: means and standard deviations of finished cells, one line per configuration."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from topiclab.report.tables.collect import Cell
from topiclab.report.tables.plan import AXES
from topiclab.report.tables.reference import Published, Reference


@dataclass(frozen=True)
class Score:
    """One metric over the seeds of one configuration; std is the sample std (n - 1), nan for one seed."""

    mean: float
    std: float
    num: int


@dataclass(frozen=True)
class Line:
    """One configuration: its values of AXES, number of finished seeds, Score per metric, published numbers.

    An axis that is averaged over holds all its values, such as '25 50 75 100'.
    """

    axes: dict[str, Any]
    num_seeds: int
    scores: dict[str, Score]
    published: dict[str, Published] = field(default_factory=dict)


def metric_names(cells: Sequence[Cell]) -> list[str]:
    """Every metric for which some cell has a number, in the order of the run folders, then `seconds`."""
    names = [name for cell in cells for name, value in cell.metrics.items() if math.isfinite(value)]
    return [*dict.fromkeys(names), "seconds"]


def summarise(
    cells: Sequence[Cell],
    metrics: Sequence[str],
    over: Sequence[str] = ("seed",),
    reference: Reference | None = None,
) -> list[Line]:
    """One line per configuration with at least one finished seed, in the order of `cells`.

    over: names of AXES to average over within each seed; a seed counts only if all their values are done.
    reference: source of the published numbers to show alongside.
    """
    averaged = [axis for axis in AXES if axis in over]
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.axes[axis] for axis in AXES if axis not in averaged), []).append(cell)
    lines = []
    for group in groups.values():
        if seeds := _complete_seeds(group, averaged):
            axes = _axes_of(group, averaged)
            scores = {
                name: _score([statistics.fmean(_value(cell, name) for cell in seed) for seed in seeds])
                for name in metrics
            }
            numbers = {} if reference is None else reference.numbers_of(axes, metrics)
            lines.append(Line(axes, len(seeds), scores, numbers))
    return lines


def _axes_of(group: Sequence[Cell], averaged: Sequence[str]) -> dict[str, Any]:
    """The values of AXES that a line shows; num_topics is followed by the chosen numbers, if any."""
    axes = {axis: _joined_values(group, axis) if axis in averaged else group[0].axes[axis] for axis in AXES}
    if numbers := sorted({cell.chosen_topics for cell in group if cell.chosen_topics is not None}):
        axes["num_topics"] = f"{axes['num_topics']} ({' '.join(map(str, numbers))})"
    return axes


def _complete_seeds(group: Sequence[Cell], averaged: Sequence[str]) -> list[list[Cell]]:
    """The finished cells of each seed that covers every combination of the averaged axes in the group."""
    wanted = {tuple(cell.axes[axis] for axis in averaged) for cell in group}
    seeds: dict[int, list[Cell]] = {}
    for cell in group:
        if cell.is_done:
            seeds.setdefault(cell.seed, []).append(cell)
    return [cells for cells in seeds.values() if len(cells) == len(wanted)]


def _joined_values(group: Sequence[Cell], axis: str) -> str:
    return " ".join(str(value) for value in dict.fromkeys(cell.axes[axis] for cell in group))


def _value(cell: Cell, name: str) -> float:
    return cell.seconds if name == "seconds" else cell.metrics.get(name, math.nan)


def _score(values: Sequence[float]) -> Score:
    finite = [value for value in values if math.isfinite(value)]
    mean = statistics.fmean(finite) if finite else math.nan
    return Score(mean, statistics.stdev(finite) if len(finite) > 1 else math.nan, len(finite))
