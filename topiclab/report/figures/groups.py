"""Topics by group: mean proportions over the documents of each label or other category."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import new_axes
from topiclab.report.figures.style import clipped, colour_bar, heat_map
from topiclab.report.fitted import Fitted, NoChart
from topiclab.report.language import Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_GROUPS = 40
MIN_DOCUMENTS = 5  # of a group that has a row, though two groups always have
NAME, GROUP = 24, 30  # letters


def group_means(theta: np.ndarray, groups: list[str | None]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Categories, the most frequent first; mean theta (C, K) of their documents; numbers of these (C,)."""
    counts = Counter(group for group in groups if group is not None)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    place = {name: number for number, name in enumerate(names)}
    at = np.array([-1 if group is None else place[group] for group in groups])
    known = np.flatnonzero(at >= 0)
    sums = np.zeros((len(names), theta.shape[1]))
    np.add.at(sums, at[known], theta[known])
    sizes = np.array([counts[name] for name in names])
    return names, sums / sizes[:, None], sizes


def draw_groups(fitted: Fitted, column: str, say: Language) -> Figure:
    """Draw a heat map: a row for each category of a column, a column for each topic."""
    if column not in fitted.groups and not (fitted.folder / "documents.parquet").exists():
        raise NoChart(
            "the run has no documents.parquet, which tells the {column} of each document",
            column=say.known(column),
        )
    if column not in fitted.groups:
        raise NoChart("the documents have no {column}", column=say.known(column))
    names, means, sizes = group_means(fitted.result.theta, fitted.groups[column])
    if len(names) < 2:
        raise NoChart("all documents have the same {column}: {name}", column=say.known(column), name=names[0])
    all_names = len(names)
    num = min(MAX_GROUPS, max(2, int((sizes >= MIN_DOCUMENTS).sum())))
    names, means = names[:num], means[:num]
    # Topics stand in the order of the group in which they are strongest, so that a diagonal can appear.
    peak = means.argmax(axis=0)
    order = np.lexsort((-means.max(axis=0), peak))
    figure, axes = new_axes((3.6 + 0.22 * len(order), 2.4 + 0.2 * len(names)))
    image = heat_map(axes, means[:, order], vmin=0)
    rows = [f"{clipped(name, GROUP)}  ({size:,})" for name, size in zip(names, sizes, strict=False)]
    axes.set_yticks(np.arange(len(names)), rows, fontsize=7)
    columns = [f"{topic}  {clipped(fitted.names[topic], NAME)}" for topic in order.tolist()]
    axes.set_xticks(np.arange(len(order)), columns, fontsize=7, rotation=90)
    colour_bar(image, axes, say("mean share of the topic"), format="{x:.0%}")
    if rest := all_names - len(names):
        text = "the {shown} most frequent of {all} values; {rest} are left out"
        axes.set_title(say(text, shown=len(names), all=all_names, rest=rest), fontsize=9)
    return figure
