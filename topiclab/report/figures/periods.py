"""Topics over time: shares of all topics, and words of the largest, by period."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.description import TimeRecord
from topiclab.report.figures.base import new_axes
from topiclab.report.figures.style import clipped, colour_bar, heat_map
from topiclab.report.figures.topic_panels import grid_of_axes
from topiclab.report.fitted import Fitted, NoChart
from topiclab.report.language import Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME, WORD = 30, 20  # letters
MAX_TICKS = 8
MAX_PANELS, COLUMNS = 12, 3  # topics whose words are shown


def time_of(fitted: Fitted) -> TimeRecord:
    """Times of a described fit; NoChart says why there are none."""
    if fitted.description is None:
        raise NoChart(
            "the run is not described: {reason}", reason=fitted.undescribed or "task=describe does that"
        )
    if fitted.description.time is None:
        raise NoChart("the documents have no dates; data.timestamp_column names their column")
    if sum(total > 0 for total in fitted.description.time["totals"]) < 2:
        raise NoChart("all documents are of one period; describe.time.unit sets a finer one")
    return fitted.description.time


def draw_shares(fitted: Fitted, say: Language) -> Figure:
    """Draw a heat map of all topics by period, early ones above late ones; empty periods are blank."""
    time = time_of(fitted)
    shares = np.array(time["shares"], dtype=float)
    totals = np.array(time["totals"])
    mass = np.nan_to_num(shares) * (totals > 0)
    centre = (mass @ np.arange(len(totals))) / np.maximum(mass.sum(axis=1), 1e-300)
    order = np.argsort(centre, kind="stable")
    figure, axes = new_axes((4.5 + 0.16 * len(totals), 1.6 + 0.19 * len(order)))
    image = heat_map(axes, shares[order], vmin=0)
    names = [f"{topic}  {clipped(fitted.names[topic], NAME)}" for topic in order.tolist()]
    axes.set_yticks(np.arange(len(order)), names, fontsize=7)
    tick_periods(axes, time)
    label = say("share of the documents of the {unit}", unit=say.known(time["unit"]))
    colour_bar(image, axes, label, format="{x:.0%}")
    return figure


def draw_period_words(fitted: Fitted, say: Language) -> Figure:
    """Draw one heat map per topic, the largest first: which of its documents have a word, by period."""
    time = time_of(fitted)
    if not (words := time.get("words")):
        raise NoChart("an earlier version described the run; describe it again (task=describe rerun=true)")
    shown = [topic for topic in fitted.by_share.tolist() if words[topic]][:MAX_PANELS]
    if not shown:
        raise NoChart("no word occurs in enough dated documents of a topic")
    columns = min(COLUMNS, len(shown))
    figure, grid = grid_of_axes(len(shown), columns, (3.7, 2.2))
    shares = {topic: np.array([of_word for _, of_word in words[topic]], dtype=float) for topic in shown}
    top = max(float(np.nanmax(values)) for values in shares.values())
    images = []
    for topic, axes in zip(shown, grid, strict=False):
        images.append(heat_map(axes, shares[topic], vmin=0, vmax=top))
        names = [clipped(word, WORD) for word, _ in words[topic]]
        axes.set_yticks(np.arange(len(names)), names, fontsize=7)
        tick_periods(axes, time, most=4)
        axes.set_title(f"{topic}  {clipped(fitted.names[topic], NAME)}", fontsize=8, loc="left")
    label = say("share of the topic's documents that have the word")
    colour_bar(images[0], list(grid), label, format="{x:.0%}", shrink=0.5)
    if rest := fitted.num_topics - len(shown):
        text = "the {shown} largest of {all} topics; {rest} smaller ones are left out"
        figure.suptitle(say(text, shown=len(shown), all=fitted.num_topics, rest=rest), fontsize=9)
    return figure


def tick_periods(axes: Axes, time: TimeRecord, most: int = MAX_TICKS) -> None:
    """Name at most so many periods along the axis."""
    ticks = range(0, len(time["periods"]), -(-len(time["periods"]) // most))
    axes.set_xticks(ticks, [time["periods"][tick] for tick in ticks], fontsize=7)
