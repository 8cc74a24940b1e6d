"""Word clouds: the words of every topic, sized by probability and packed without overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST, SMALLEST = 17, 5  # points
STEPS, TURN, GROWTH = 700, 0.35, 0.0016  # of the spiral on which a free place is sought
MAPS = ("Blues", "Oranges", "Greens", "Purples", "Reds", "Greys", "YlGnBu", "PuRd", "BuGn", "YlOrBr")


def word_clouds(weights: np.ndarray, vocab: tuple[str, ...], titles: list[str], num: int = 35) -> Figure:
    """Draw a grid of clouds, one per topic with its title; weights: (K, V), words of weight 0 are left out.

    A word that does not fit inside the frame is left out too. The same input gives the same picture.
    """
    from matplotlib.figure import Figure

    columns = min(len(weights), 5)
    rows = -(-len(weights) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.5 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
        axes.set_visible(False)
    for axes, title in zip(grid, titles, strict=False):
        axes.set_visible(True)
        axes.set_title(title, fontsize=9)
    figure.draw_without_rendering()  # positions the axes; before that, texts have no extent
    for topic, row in enumerate(weights):
        words = [word for word in np.argsort(-row, kind="stable")[:num] if row[word] > 0]
        _pack(grid[topic], [vocab[word] for word in words], row[words] / row[words].max(), topic)
    return figure


def _pack(axes: Axes, words: list[str], sizes: np.ndarray, topic: int) -> None:
    """Write words, largest first, each at the first free place on a spiral around the centre."""
    from matplotlib import colormaps

    colours, frame = colormaps[MAPS[topic % len(MAPS)]], axes.get_window_extent()
    taken = np.empty((0, 4))
    steps = np.arange(STEPS)
    spiral = np.stack([np.cos(steps * TURN), np.sin(steps * TURN)], axis=1) * (steps * GROWTH)[:, None] ** 0.8
    for word, size in zip(words, sizes.tolist(), strict=True):
        points = SMALLEST + (LARGEST - SMALLEST) * size**0.7
        text = axes.text(
            0.5,
            0.5,
            word.replace("$", r"\$"),
            fontsize=points,
            ha="center",
            va="center",
            color=colours(0.45 + 0.5 * size),
        )
        box = text.get_window_extent()
        half = np.array([box.width / frame.width, box.height / frame.height]) / 2 + 0.004
        boxes = np.concatenate([spiral + 0.5 - half, spiral + 0.5 + half], axis=1)
        is_inside = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2:] <= 1).all(axis=1)
        touches = (boxes[:, None, :2] < taken[None, :, 2:]).all(axis=2)
        touches &= (boxes[:, None, 2:] > taken[None, :, :2]).all(axis=2)
        free = np.flatnonzero(is_inside & (touches.sum(axis=1) == 0))
        if not len(free):
            text.remove()
            continue
        text.set_position((spiral[free[0]] + 0.5).tolist())
        taken = np.concatenate([taken, boxes[free[:1]]])
