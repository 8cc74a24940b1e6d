"""Metrics of an experiment by number of topics: mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import save_figure
from topiclab.report.figures.style import HUES, clipped, paper_style
from topiclab.report.figures.topic_panels import grid_of_axes
from topiclab.report.fitted import NoChart
from topiclab.report.language import ENGLISH, Language
from topiclab.report.tables.collect import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SYSTEM = ("experiment", "data", "model", "embedder", "mode", "objective", "teacher", "variant")
MARKERS = "osD^vP*X"
LINES = ("-", "--", ":", "-.")
MAX_LINES = len(MARKERS) * len(LINES)
NAME = 48  # letters
COLUMNS = 3


def draw_sweep(cells: Sequence[Cell], metrics: Sequence[str], path: Path, say: Language = ENGLISH) -> Path:
    """Write a figure with a panel per metric and a line per system.

    cells: finished ones. A metric without any value, and a number of topics at which a system has none, are
    left out; NoChart says what is missing if nothing is left.
    """
    sizes = sorted({size for cell in cells if (size := size_of(cell)) is not None})
    if len(sizes) < 2:
        told = f"K={sizes[0]}" if sizes else "no finished cell"
        raise NoChart(
            "the experiment has {sizes} alone; a sweep such as num_topics=25,50,100 has a curve", sizes=told
        )
    systems = systems_of(cells)
    if len(systems) > MAX_LINES:
        raise NoChart(
            "{num} systems are more lines than the {most} that can be told apart",
            num=len(systems),
            most=MAX_LINES,
        )
    shown = shown_metrics(systems, metrics)
    if not shown:
        raise NoChart("no cell has a value of {metrics}", metrics=", ".join(metrics) or "any metric")
    with paper_style([*systems, *say.phrases.values()]):
        figure, grid = grid_of_axes(len(shown), min(COLUMNS, len(shown)), (3.4, 2.7))
        for axes, (name, points) in zip(grid, shown.items(), strict=False):
            _draw_lines(axes, points)
            axes.set_title(name, fontsize=9)
            axes.set_xticks(sizes)
            axes.grid(axis="y", color="0.92")
        for axes in grid[max(0, len(shown) - COLUMNS) : len(shown)]:
            axes.set_xlabel(say("topics"))
        if len(systems) > 1:
            handles = {}
            for axes in grid:
                handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
            told = say("mean and standard deviation over seeds")
            columns = min(3, len(systems))
            figure.legend(
                handles.values(), handles.keys(), loc="outside upper center", ncols=columns, title=told
            )
        else:
            figure.suptitle(say("mean and standard deviation over seeds"), fontsize=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        return save_figure(figure, path)


def _draw_lines(axes: Axes, points: dict[str, list[tuple[int, float, float]]]) -> None:
    """Draw one line per system that has a value, in the colour of its place among all."""
    for number, (system, values) in enumerate(points.items()):
        if values:
            x, mean, spread = (np.array(column) for column in zip(*values, strict=True))
            axes.errorbar(
                x,
                mean,
                yerr=np.nan_to_num(spread),
                marker=MARKERS[number % len(MARKERS)],
                linestyle=LINES[number // len(MARKERS)],
                color=HUES[number % 7],
                markersize=4,
                capsize=2.5,
                label=clipped(system, NAME),
            )


def size_of(cell: Cell) -> int | None:
    """Number of topics of a cell, also one that num_topics=auto chose; None if it is not known."""
    return cell.chosen_topics if cell.chosen_topics is not None else _whole(cell.axes["num_topics"])


def systems_of(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells by system: the axes in which the cells differ, beside number of topics and seed."""
    different = [axis for axis in SYSTEM if len({cell.axes[axis] for cell in cells}) > 1]
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        name = " ".join(str(cell.axes[axis]) for axis in different if cell.axes[axis])
        found.setdefault(name or str(cell.axes["model"]), []).append(cell)
    return found


def shown_metrics(
    systems: dict[str, list[Cell]], metrics: Sequence[str]
) -> dict[str, dict[str, list[tuple[int, float, float]]]]:
    """`points_of` by metric, without those of no value; equal ones, such as npmi and npmi_beta, are one."""
    found: dict[str, dict[str, list[tuple[int, float, float]]]] = {}
    for metric in metrics:
        points = points_of(systems, metric)
        same = next((name for name, known in found.items() if repr(known) == repr(points)), None)
        if same is not None:
            found = {f"{name}, {metric}" if name == same else name: known for name, known in found.items()}
        elif any(points.values()):
            found[metric] = points
    return found


def points_of(systems: dict[str, list[Cell]], metric: str) -> dict[str, list[tuple[int, float, float]]]:
    """For each system (K, mean, standard deviation) over the seeds that have the metric; NaN for one seed."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for system, cells in systems.items():
        by_size: dict[int, list[float]] = {}
        for cell in cells:
            value, size = cell.metrics.get(metric, np.nan), size_of(cell)
            if size is not None and np.isfinite(value):
                by_size.setdefault(size, []).append(value)
        found[system] = [
            (size, float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"))
            for size, values in sorted(by_size.items())
        ]
    return found


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
