"""Timeline: figure of the rising and falling topics of a description folder, with their bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import save_figure
from topiclab.report.figures.dendrogram import short_label
from topiclab.report.figures.style import HUES, paper_style
from topiclab.report.language import ENGLISH, Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from topiclab.report.description import Description, TimeRecord, TopicRecord

ROWS = 6  # topics of each kind
MAX_TICKS = 8
TINY = 0.1  # share of the median period's documents below which a period is not drawn
COLOURS = {"emerging": HUES[2], "fading": HUES[1], "steady": "0.4"}


def draw_time(described: Description, folder: Path, say: Language = ENGLISH) -> Path | None:
    """Write time.png: one panel per topic, the most emerging on the left, the most fading on the right.

    If a kind has fewer than ROWS topics, the steady ones with the largest share fill the panels; how many
    topics are not shown is told. Returns None if the documents have no dates.
    """
    if described.time is None:
        return None
    labels = [topic["label"] for topic in described.topics]
    with paper_style([*labels, *say.phrases.values()]):
        return save_figure(_panels(described, described.time, say), folder / "time.png")


def _panels(described: Description, time: TimeRecord, say: Language) -> Figure:
    from matplotlib.figure import Figure

    left, right = shown_topics(time, described.topics)
    rows = max(len(left), len(right))
    figure = Figure(figsize=(11, 1.5 * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, 2, sharex=True, squeeze=False)
    for column, topics in enumerate((left, right)):
        for row in range(rows):
            if row < len(topics):
                draw_share(panels[row, column], time, described.topics[topics[row]], say)
            else:
                panels[row, column].set_visible(False)
    ticks = range(0, len(time["periods"]), -(-len(time["periods"]) // MAX_TICKS))
    for axes in panels[-1]:
        axes.set_xticks(ticks, [time["periods"][tick] for tick in ticks], fontsize=8)
    title = say(
        "share of the documents by {unit} with {level} bands; dashed: trends whose interval excludes 0",
        unit=say.known(time["unit"]),
        level=f"{time['level']:.0%}",
    )
    if rest := described.num_topics - len(left) - len(right):
        more = say("{rest} of {all} topics are not shown", rest=rest, all=described.num_topics)
        title += f"\n{more}"
    figure.suptitle(title, fontsize=9)
    return figure


def shown_topics(time: TimeRecord, topics: Sequence[TopicRecord]) -> tuple[list[int], list[int]]:
    """Choose at most ROWS topics per side: the steepest rises and falls, then the largest steady ones."""
    trends = {trend["topic"]: trend for trend in time["trends"]}
    rising = [topic for topic, trend in trends.items() if trend["kind"] == "emerging"]
    falling = [topic for topic, trend in trends.items() if trend["kind"] == "fading"]
    rising = sorted(rising, key=lambda topic: -trends[topic]["slope"])[:ROWS]
    falling = sorted(falling, key=lambda topic: trends[topic]["slope"])[:ROWS]
    steady = [topic["topic"] for topic in topics if trends[topic["topic"]]["kind"] == "steady"]
    steady.sort(key=lambda topic: -topics[topic]["share"])
    for side in (rising, falling):
        missing = ROWS - len(side)
        side += steady[:missing]
        del steady[:missing]
    return rising, falling


def draw_share(axes: Axes, time: TimeRecord, topic: TopicRecord, say: Language = ENGLISH) -> None:
    """Draw the share of one topic by period in percent, its band, and its trend line."""
    number = topic["topic"]
    totals = np.array(time["totals"])
    held = np.flatnonzero(totals)
    drawn = np.flatnonzero(totals >= TINY * np.median(totals[held]))
    share, low, high = (
        100 * np.array(rows[number], dtype=float) for rows in (time["shares"], time["low"], time["high"])
    )
    trend = time["trends"][number]
    colour, caption = COLOURS[trend["kind"]], say(trend["kind"])
    axes.fill_between(drawn, low[drawn], high[drawn], color=colour, alpha=0.2, linewidth=0)
    axes.plot(drawn, share[drawn], color=colour, marker="o", markersize=2.5, linewidth=1)
    if trend["kind"] != "steady":
        middle, level = (np.average(values, weights=totals[held]) for values in (held, share[held]))
        line = level + 100 * trend["slope"] * (drawn - middle)
        axes.plot(drawn, line, "--", color=colour, linewidth=0.8)
        slope = f"{100 * trend['slope']:+.2g}"
        caption += " " + say("{slope} points a {unit}", slope=slope, unit=say.known(time["unit"]))
    axes.set_title(f"{number}  {short_label(topic['label'])}", fontsize=8, loc="left", pad=3)
    axes.text(0.99, 0.97, caption, transform=axes.transAxes, ha="right", va="top", fontsize=7, color=colour)
    axes.set_ylim(0, max(high[drawn].max() * 1.15, 1e-3))
    axes.tick_params(labelsize=7)
    axes.yaxis.set_major_formatter("{x:g}%")
