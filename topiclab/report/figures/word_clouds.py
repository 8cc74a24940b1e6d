"""Word clouds: the words of every topic, sized by probability, by the library wordcloud (extra `clouds`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from topiclab.report.figures.fonts import file_for, has_all
from topiclab.report.figures.style import HUES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

COLUMNS = 5
PIXELS = (450, 350)  # of a cloud
INCHES = (3.1, 2.6)


def word_clouds(
    weights: np.ndarray, vocab: tuple[str, ...], titles: Sequence[str], num: int = 35, seed: int = 0
) -> Figure:
    """Draw a grid of clouds, one per topic with its title; weights: (K, V), words of weight 0 are left out.

    The font of a cloud is the one of this machine that has most characters of its words; a word with others
    is left out and told. The same input gives the same picture. ModuleNotFoundError without the extra.
    """
    from topiclab.report.figures.topic_panels import grid_of_axes

    figure, grid = grid_of_axes(len(weights), min(len(weights), COLUMNS), INCHES)
    for axes in grid:
        axes.axis("off")
    best = [np.argsort(-row, kind="stable")[:num].tolist() for row in weights]
    sizes = [
        {vocab[word]: float(row[word]) for word in words if row[word] > 0}
        for row, words in zip(weights, best, strict=True)
    ]
    for axes, words, title in zip(grid, sizes, titles, strict=False):
        axes.set_title(title, fontsize=9, loc="left")
        font = file_for(words)
        drawn = {word: size for word, size in words.items() if has_all(font, word)}
        if len(drawn) < len(words):
            left_out = " ".join(word for word in words if word not in drawn)
            log.warning("word cloud of %s: its font, %s, cannot write %s", title, Path(font).name, left_out)
        if drawn:
            axes.imshow(cloud(drawn, font, seed), interpolation="nearest")
    return figure


def cloud(words: dict[str, float], font: str, seed: int = 0) -> np.ndarray:
    """Picture (H, W, 3) uint8 of words by weight, all horizontal, in the figures' colours by rank."""
    from wordcloud import WordCloud

    turn = {word: HUES[at % (len(HUES) - 1)] for at, word in enumerate(words)}

    def colour(word: str, **_: Any) -> str:
        return turn[word]

    drawn = WordCloud(
        font_path=font,
        width=PIXELS[0],
        height=PIXELS[1],
        margin=3,
        prefer_horizontal=1.0,
        background_color="white",
        random_state=seed,
        color_func=colour,
        max_words=len(words),
    ).generate_from_frequencies(words)
    return drawn.to_array()
