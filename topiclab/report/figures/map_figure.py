"""Figure of a description's map: one dot per document in its topic's colour, with topics named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import new_axes, save_figure
from topiclab.report.figures.colours import distinct_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from topiclab.report.description import Description

INCHES = (11, 8)
CORE = (0.5, 99.5)  # percentiles of the documents inside the frame: outliers must not shrink the map
MAX_LETTERS = 28
GAP = 3  # points between a name and its anchor


def draw_map(description: Description, folder: Path, title: str) -> Path:
    """Write map.png."""
    figure, axes = new_axes(INCHES)
    counts = np.bincount(description.topic, minlength=description.num_topics)
    order = np.argsort(-counts, kind="stable")
    colours = np.array(distinct_colours(description.anchors, order))
    axes.set(xticks=[], yticks=[], title=title.replace("$", r"\$"))
    axes.set_frame_on(False)
    if len(description.coordinates):
        size = float(np.clip(60_000 / len(description.coordinates), 2.2, 30))
        # In random order, since otherwise the last topics of a sorted corpus would hide the first.
        drawn = np.random.default_rng(0).permutation(len(description.coordinates))
        x, y = description.coordinates[drawn].T
        axes.scatter(
            x, y, c=colours[description.topic[drawn]], s=size, linewidths=0, alpha=0.7, rasterized=True
        )
        low, high = np.percentile(description.coordinates, CORE, axis=0)
        margin = 0.03 * np.maximum(high - low, 1e-3)
        axes.set(
            xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1])
        )
        _name_topics(axes, description, order[counts[order] > 0])
    return save_figure(figure, folder / "map.png")


def _name_topics(axes: Axes, description: Description, order: np.ndarray) -> None:
    """Write the keywords at the anchors in this order, leaving out any that would touch another."""
    from matplotlib.patheffects import withStroke

    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # positions the axes; before that, texts have no extent
    halo = [withStroke(linewidth=3, foreground="white")]
    taken = []
    for topic in order:
        keyword = description.topics[topic]["keyword"]
        word = keyword if len(keyword) <= MAX_LETTERS else keyword[: MAX_LETTERS - 1] + "…"
        for side, points in (("bottom", GAP), ("top", -GAP)):  # above the anchor, else below
            text = axes.annotate(
                word.replace("$", r"\$"),
                description.anchors[topic].tolist(),
                xytext=(0, points),
                textcoords="offset points",
                ha="center",
                va=side,
                fontsize=9,
                fontweight="bold",
                path_effects=halo,
                annotation_clip=True,
            )
            box = text.get_window_extent().padded(2)
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
