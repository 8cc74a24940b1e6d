"""Figure of task=select_k: every criterion over the candidate numbers of topics."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from topiclab.report.figures.base import save_figure
from topiclab.report.figures.style import HUES, paper_style

PANELS = {
    "silhouette": "silhouette (cosine)",
    "stability": "adjusted Rand index of two seeds",
    "npmi": "NPMI of the top words",
    "diversity": "share of different top words",
    "inertia": "inertia on a scale of logarithms",
    "mean_rank": "mean rank of the four, 1 is best",
}


def draw_selection(folder: Path) -> Path:
    """Write select_k.png from the folder's select_k.csv: one panel per criterion.

    The band is one standard deviation over seeds, the vertical line is at the recommended number of topics.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    with (folder / "select_k.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}
    numbers = columns["num_topics"]
    chosen = numbers[columns["is_recommended"] == 1][0]
    with paper_style():
        figure = Figure(figsize=(11, 6), layout="constrained")
        for axes, (name, title) in zip(figure.subplots(2, 3, sharex=True).flat, PANELS.items(), strict=True):
            values = columns[name]
            axes.axvline(chosen, color=HUES[1], linewidth=1, linestyle="--")
            axes.plot(numbers, values, "o-", color=HUES[0], markersize=4)
            if f"{name}_std" in columns:
                spread = columns[f"{name}_std"]
                axes.fill_between(
                    numbers, values - spread, values + spread, color=HUES[0], alpha=0.2, linewidth=0
                )
            axes.set_title(title, fontsize=10)
            axes.grid(alpha=0.25)
            axes.set_xscale("log")
            axes.set_xticks(numbers, [f"{number:g}" for number in numbers], fontsize=8, minor=False)
            axes.set_xticks([], minor=True)
            if name == "inertia":
                axes.set_yscale("log")
                low, high = values.min(), values.max()
                axes.set_yticks(np.geomspace(low, high, 4))
                axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.5g}"))
                axes.yaxis.set_minor_formatter(NullFormatter())
            if name == "mean_rank":
                axes.invert_yaxis()
        figure.supxlabel(f"topics; recommended: {chosen:g}", fontsize=10)
        return save_figure(figure, folder / "select_k.png")
