"""Axes and files of figures, and the map of the documents by their topics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.description import topic_anchors
from topiclab.report.figures.colours import distinct_colours
from topiclab.report.figures.names import place_names
from topiclab.report.figures.style import clipped, paper_style
from topiclab.report.language import ENGLISH, Language
from topiclab.result import TopicResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP_DOCUMENTS = 2000


def document_coordinates(theta: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N,) of at most MAP_DOCUMENTS documents, and their coordinates (N, 2) on a map.

    theta: (D, K). t-SNE of sqrt(theta), so that distances are Hellinger's (van der Maaten & Hinton 2008);
    unlike UMAP it compiles nothing at first use. If all documents are identical, they lie at the origin.
    """
    rows = np.arange(len(theta))
    if len(theta) > MAP_DOCUMENTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAP_DOCUMENTS, replace=False))
    roots = np.sqrt(theta[rows].astype(np.float64))
    if len(rows) < 3 or np.ptp(roots, axis=0).max() < 1e-6:
        return rows, np.zeros((len(rows), 2), np.float32)
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(rows) - 1) / 3)
    return rows, TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(roots)


def draw_document_map(folder: Path, result: TopicResult, rows: np.ndarray, coordinates: np.ndarray) -> Path:
    """Write document_map.png, see `document_map`."""
    with paper_style(word for words in result.topic_words(3) for word in words):
        figure = document_map(result, [" ".join(words) for words in result.topic_words(3)], rows, coordinates)
        return save_figure(figure, folder / "document_map.png")


def document_map(
    result: TopicResult,
    names: Sequence[str],
    rows: np.ndarray,
    coordinates: np.ndarray,
    say: Language = ENGLISH,
) -> Figure:
    """Draw one dot per document in its main topic's colour, with names of the topics where there is room."""
    figure, axes = new_axes((9, 7))
    topics = result.theta[rows].argmax(axis=1)
    order = np.argsort(-np.bincount(topics, minlength=result.num_topics), kind="stable")
    order = order[np.isin(order, topics)]
    anchors = topic_anchors(coordinates, topics, result.num_topics)
    colours = np.array(distinct_colours(anchors, order))
    axes.scatter(*coordinates.T, c=colours[topics], s=8, linewidths=0, alpha=0.8, rasterized=True)
    axes.set(xticks=[], yticks=[])
    axes.set_frame_on(False)
    text = "{drawn} of {all} documents, t-SNE of their topics"
    axes.set_title(say(text, drawn=f"{len(rows):,}", all=f"{len(result.theta):,}"))
    shown = [clipped(names[int(topic)], 28) for topic in order]
    place_names(axes, anchors[order], shown, fontweight="bold")
    return figure


def new_axes(inches: tuple[float, float]) -> tuple[Figure, Axes]:
    """Create a figure of this size and its axes, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    return figure, figure.subplots()


def save_figure(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path
