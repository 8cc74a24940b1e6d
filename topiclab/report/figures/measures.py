"""Metrics: of every topic of a fit, and of the cells of an experiment by number of topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.style import HUES, clipped
from topiclab.report.fitted import Fitted, NoChart
from topiclab.report.language import Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = 26  # letters
INCHES_A_TOPIC = 0.17


def draw_topic_metrics(fitted: Fitted, say: Language) -> Figure:
    """Draw bars: a row for each topic, the largest first, and a panel for each metric with its mean."""
    from matplotlib.figure import Figure

    shown: dict[str, list[float | None]] = {}
    for name, values in fitted.per_topic.items():
        if _is_told(values, fitted):
            same = next((other for other, known in shown.items() if known == values), None)
            shown |= {name: values} if same is None else {}
            if same is not None:  # such as npmi and npmi_usage
                shown = {f"{key}, {name}" if key == same else key: known for key, known in shown.items()}
    if not shown:
        raise NoChart("no metric of topics is defined in topic_metrics.json")
    order = fitted.by_share
    places = np.arange(len(order))
    figure = Figure(figsize=(2.6 + 1.5 * len(shown), 1.2 + INCHES_A_TOPIC * len(order)), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (name, values) in zip(panels, shown.items(), strict=True):
        numbers = np.array([np.nan if value is None else value for value in values], dtype=float)[order]
        axes.barh(places, np.nan_to_num(numbers), color=HUES[0], height=0.7)
        for place in np.flatnonzero(~np.isfinite(numbers)):
            axes.text(0, place, f" {say('undefined')}", fontsize=6, va="center", color="0.4")
        mean = float(np.nanmean(numbers))
        axes.axvline(mean, color=HUES[1], linewidth=1, linestyle="--")
        axes.axvline(0, color="0.3", linewidth=0.6)
        axes.set_title(f"{name}\n{say('mean {value}', value=f'{mean:.3f}')}", fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    names = [f"{topic}  {clipped(fitted.names[topic], NAME)}" for topic in order.tolist()]
    panels[0].set_yticks(places, names, fontsize=7)
    panels[0].set_ylim(len(order) - 0.4, -0.6)
    return figure


def _is_told(values: object, fitted: Fitted) -> bool:
    """True for a list of one number per topic, of which at least one is defined."""
    return (
        isinstance(values, list)
        and len(values) == fitted.num_topics
        and any(isinstance(value, int | float) for value in values)
    )
