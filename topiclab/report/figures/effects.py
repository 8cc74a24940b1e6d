"""Effects of covariates on topics, drawn from effects.csv of a run folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from topiclab.report.figures.base import save_figure

EFFECTS, FIGURE = "effects.csv", "effects.png"
CONTRAST = "contrast"
MAX_PANELS = 12  # contrasts drawn; more levels are in the table
ROW_INCHES, PANEL_INCHES, TITLE_INCHES = 0.24, 3.2, 1.2


def draw_effects(folder: Path) -> Path | None:
    """Write effects.png: a panel for each contrast, with the difference of every topic's share in points.

    Topics are in the order of the first contrast; those whose interval excludes 0 are in colour. Returns None
    without an effects.csv, or where it has no contrast.
    """
    path = folder / EFFECTS
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["kind"] == CONTRAST]
    names = list(dict.fromkeys(row["effect"] for row in rows))
    if not rows:
        return None
    values = np.array([[float(row[key]) for key in ("estimate", "low", "high")] for row in rows])
    values = 100 * values.reshape(-1, len(names), 3)  # (K, contrasts, 3)
    words = [f"{row['topic']}  {row['words']}" for row in rows[:: len(names)]]
    order, shown = np.argsort(values[:, 0, 0], kind="stable"), names[:MAX_PANELS]
    from matplotlib.figure import Figure

    inches = (2.5 + PANEL_INCHES * len(shown), TITLE_INCHES + ROW_INCHES * len(words))
    figure = Figure(figsize=inches, layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    height = np.arange(len(order))
    for number, (axes, name) in enumerate(zip(panels, shown, strict=True)):
        middle, low, high = values[order, number].T
        colours = np.where((low > 0) | (high < 0), "#1f4e9c", "0.6")
        axes.axvline(0, color="0.8", linewidth=1)
        axes.hlines(height, low, high, colors=colours, linewidth=1.5)
        axes.scatter(middle, height, c=colours, s=14, zorder=3)
        axes.set_title(name, fontsize=9)
        axes.set_yticks(height, [words[topic] for topic in order], fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    left = f"; {len(names) - len(shown)} more in {EFFECTS}" if len(names) > len(shown) else ""
    figure.supxlabel(f"difference of the topic's share in points, with 95% intervals{left}", fontsize=9)
    return save_figure(figure, folder / FIGURE)
