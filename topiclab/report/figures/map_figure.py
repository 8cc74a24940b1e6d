"""Figure of a description's map: one dot per document in its topic's colour, with topics named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import new_axes, save_figure
from topiclab.report.figures.colours import distinct_colours
from topiclab.report.figures.names import place_names
from topiclab.report.figures.style import clipped, paper_style, plain
from topiclab.report.language import ENGLISH, Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from topiclab.report.description import Description

INCHES = (11, 8)
MARGIN = 0.03  # of the frame
MAX_LETTERS = 28


def draw_map(description: Description, folder: Path, title: str, say: Language = ENGLISH) -> Path:
    """Write map.png. It shows `description.frame`; documents beyond it are triangles at its edge."""
    names = [clipped(topic["keyword"], MAX_LETTERS) for topic in description.topics]
    with paper_style([title, *names, *say.phrases.values()]):
        figure, axes = new_axes(INCHES)
        axes.set(xticks=[], yticks=[])
        axes.set_title(plain(title))
        axes.set_frame_on(False)
        if len(description.coordinates):
            counts = np.bincount(description.topic, minlength=description.num_topics)
            order = np.argsort(-counts, kind="stable")
            _draw_documents(axes, description, np.array(distinct_colours(description.anchors, order)))
            if description.num_beyond:
                text = "{num} documents beyond the frame stand as triangles at its edge"
                axes.set_xlabel(say(text, num=f"{description.num_beyond:,}"), fontsize=8)
            named = order[counts[order] > 0]
            low, high = description.frame
            place_names(
                axes,
                np.clip(description.anchors[named], low, high),
                [names[topic] for topic in named],
                fontsize=9,
                fontweight="bold",
            )
        return save_figure(figure, folder / "map.png")


def _draw_documents(axes: Axes, description: Description, colours: np.ndarray) -> None:
    """Draw dots within the frame, and a triangle for each document beyond it at the nearest edge."""
    low, high = description.frame
    margin = MARGIN * np.maximum(high - low, 1e-3)
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    size = float(np.clip(60_000 / len(description.coordinates), 2.2, 30))
    # In random order, since otherwise the last topics of a sorted corpus would hide the first.
    drawn = np.random.default_rng(0).permutation(len(description.coordinates))
    places, colour = description.coordinates[drawn], colours[description.topic[drawn]]
    is_beyond = ((places < low) | (places > high)).any(axis=1)
    axes.scatter(
        *places[~is_beyond].T, c=colour[~is_beyond], s=size, linewidths=0, alpha=0.7, rasterized=True
    )
    if is_beyond.any():
        edge = np.clip(places, low - margin / 2, high + margin / 2)
        for marker, is_here in _edges(places, low, high).items():
            axes.scatter(*edge[is_here].T, c=colour[is_here], s=26, marker=marker, linewidths=0, alpha=0.9)


def _edges(places: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    """Marker that points outwards, and which documents (D,) lie beyond that edge; a corner counts once."""
    left, right = places[:, 0] < low[0], places[:, 0] > high[0]
    beside = left | right
    return {
        "<": left,
        ">": right,
        "v": (places[:, 1] < low[1]) & ~beside,
        "^": (places[:, 1] > high[1]) & ~beside,
    }
