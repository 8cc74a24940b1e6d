"""Words of the topics: bars of their weights, and word clouds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.style import HUES, clipped
from topiclab.report.figures.topic_panels import grid_of_axes
from topiclab.report.figures.word_clouds import word_clouds
from topiclab.report.fitted import Fitted, NoChart
from topiclab.report.language import Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 30  # topics of one figure
NUM_WORDS, CLOUD_WORDS = 10, 40
COLUMNS = 5
NAME, WORD, CLOUD_NAME = 16, 18, 28  # letters


def draw_words(fitted: Fitted, say: Language) -> Figure:
    """Draw one panel per topic, the largest first: bars of the words that the model ranks best."""
    topics = shown_topics(fitted)
    ranked = fitted.result.top_words
    assert ranked is not None
    figure, grid = grid_of_axes(len(topics), min(COLUMNS, len(topics)), (2.3, 1.95))
    for topic, axes in zip(topics.tolist(), grid, strict=False):
        words = ranked[topic, :NUM_WORDS]
        words = words[np.argsort(-fitted.result.beta[topic, words], kind="stable")]
        axes.barh(np.arange(len(words)), fitted.result.beta[topic, words], color=HUES[0], height=0.72)
        names = [clipped(fitted.result.vocab[word], WORD) for word in words]
        axes.set_yticks(np.arange(len(words)), names, fontsize=7)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=6)
        axes.locator_params(axis="x", nbins=3)
        axes.invert_yaxis()
        axes.set_title(panel_title(fitted, topic, NAME), fontsize=7.5, loc="left")
    figure.supxlabel(say("probability of the word in the topic"), fontsize=9)
    _tell_the_rest(figure, fitted, len(topics), say)
    return figure


def draw_clouds(fitted: Fitted, say: Language) -> Figure:
    """Draw one cloud per topic, the largest first, of the words that the model ranks best."""
    topics = shown_topics(fitted)
    titles = [panel_title(fitted, topic, CLOUD_NAME) for topic in topics.tolist()]
    ranked = fitted.result.top_words
    assert ranked is not None
    weights = np.zeros_like(fitted.result.beta)
    best = np.arange(len(weights))[:, None], ranked[:, :CLOUD_WORDS]
    weights[best] = fitted.result.beta[best]
    try:
        figure = word_clouds(weights[topics], fitted.result.vocab, titles, CLOUD_WORDS)
    except ModuleNotFoundError as error:
        raise NoChart("word clouds need the extra clouds: pip install 'topiclab[clouds]'") from error
    _tell_the_rest(figure, fitted, len(topics), say)
    return figure


def shown_topics(fitted: Fitted) -> np.ndarray:
    """Topics that have panels, the largest first; NoChart for images, whose words are numbers of codes."""
    if fitted.modality == "images":
        raise NoChart(
            "the words of an image model are numbers of codes; topics.png shows what they stand for"
        )
    return fitted.by_share[:MAX_PANELS]


def panel_title(fitted: Fitted, topic: int, most: int) -> str:
    """Number, name of at most so many letters and share of a topic."""
    return f"{topic}  {clipped(fitted.names[topic], most)}  {fitted.shares[topic]:.1%}"


def _tell_the_rest(figure: Figure, fitted: Fitted, shown: int, say: Language) -> None:
    if rest := fitted.num_topics - shown:
        text = say(
            "the {shown} largest of {all} topics; {rest} smaller ones are left out",
            shown=shown,
            all=fitted.num_topics,
            rest=rest,
        )
        figure.suptitle(text, fontsize=9)
