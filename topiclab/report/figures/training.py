"""Losses in training, each on axes of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from topiclab.report.figures.base import save_figure
from topiclab.report.figures.style import HUES, paper_style
from topiclab.report.figures.topic_panels import grid_of_axes
from topiclab.report.fitted import Fitted, NoChart
from topiclab.report.language import ENGLISH, Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGES = {"train": ("training", HUES[0], "-", "o"), "val": ("validation", HUES[1], "--", "s")}
TIMES = ("epoch", "step", "round")
IN_NATS = ("loss", "recon", "kl")
WIDE_RANGE = 20  # ratio of the largest to the smallest value above which an axis is logarithmic
MAX_MARKED = 40  # epochs


def losses_of(history: list[dict[str, float]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Points (epoch, value) of each loss by stage; a value without stage, such as a weight, is training's."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for at, entry in enumerate(history):
        time = next((entry[name] for name in TIMES if name in entry), at)
        for name, value in entry.items():
            if name in TIMES or value is None:
                continue
            stage, _, loss = name.rpartition("/")
            found.setdefault(loss, {}).setdefault(stage or "train", []).append((time, value))
    return found


def draw_training(fitted: Fitted, say: Language) -> Figure:
    """Draw one panel per loss, training and validation in the same panel."""
    if not losses_of(fitted.history):
        raise NoChart(
            "the fit recorded no losses (training_history.json): the model is not trained by epochs"
        )
    return training_figure(fitted.history, say)


def save_training(folder: Path) -> Path | None:
    """Write training.png into the folder of a run from its history alone; None if it recorded no losses."""
    path = folder / "training_history.json"
    history = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if not losses_of(history):
        return None
    with paper_style(()):
        return save_figure(training_figure(history, ENGLISH), folder / "training.png")


def training_figure(history: list[dict[str, float]], say: Language) -> Figure:
    """One panel per loss, from the entries of training_history.json."""
    losses = losses_of(history)
    columns = 2 if len(losses) == 4 else min(3, len(losses))
    figure, grid = grid_of_axes(len(losses), columns, (3.4, 2.5))
    for axes, (loss, stages) in zip(grid, losses.items(), strict=False):
        values = [value for points in stages.values() for _, value in points]
        for stage, points in stages.items():
            label, colour, line, marker = STAGES.get(stage, (stage, HUES[2], ":", "^"))
            marker = marker if len(points) <= MAX_MARKED else ""
            axes.plot(
                *zip(*points, strict=True),
                line,
                marker=marker,
                markersize=3,
                color=colour,
                label=say.known(label),
            )
        if min(values) > 0 and max(values) > WIDE_RANGE * min(values):
            axes.set_yscale("log")
        axes.set_title(say.known(loss), fontsize=9)
        if loss in IN_NATS:
            axes.set_ylabel(say("nats per document"), fontsize=8)
        axes.locator_params(axis="x", integer=True, nbins=6)
        axes.tick_params(labelsize=7)
    time = next((name for name in TIMES if name in history[0]), "round")
    for axes in grid[max(0, len(losses) - columns) : len(losses)]:
        axes.set_xlabel(say.known(time))
    both = max(grid[: len(losses)], key=lambda axes: len(axes.get_lines()))
    if len(both.get_lines()) > 1:
        both.legend()
    return figure
