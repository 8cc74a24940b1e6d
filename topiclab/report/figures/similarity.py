"""Similarity of topics by their words: a heat map, and a map in two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import new_axes
from topiclab.report.figures.names import place_names
from topiclab.report.figures.style import HUES, clipped, colour_bar, heat_map
from topiclab.report.fitted import Fitted, NoChart
from topiclab.report.language import Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = 28  # letters
AREA = 28_000  # of all circles, in square points: a tenth of the map


def jensen_shannon(beta: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distances (K, K) float64 between rows of beta (K, V): roots of divergences in bits."""
    rows = beta.astype(np.float64)
    own = _entropy(rows)
    middle = np.stack([_entropy((rows + row) / 2) for row in rows])
    return np.sqrt(np.clip(middle - (own[:, None] + own) / 2, 0, 1)) * ~np.eye(len(rows), dtype=bool)


def similarity_order(distances: np.ndarray) -> np.ndarray:
    """Topics (K,) as leaves of a tree by average linkage, so that similar ones are neighbours."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(distances) < 3:
        return np.arange(len(distances))
    pairs = squareform(distances, checks=False)
    return leaves_list(linkage(pairs, "average", optimal_ordering=True))


def principal_coordinates(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classical scaling (Torgerson 1952): places (K, 2), and the share (2,) of each axis in all squares.

    distances: (K, K). Signs are fixed, so that the same distances give the same map.
    """
    num = len(distances)
    centre = np.eye(num) - 1 / num
    values, vectors = np.linalg.eigh(-0.5 * centre @ distances**2 @ centre)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    places = np.zeros((num, 2))
    axes = min(2, num)
    places[:, :axes] = vectors[:, :axes] * np.sqrt(values[:axes])
    places *= np.where(places[np.abs(places).argmax(axis=0), [0, 1]] < 0, -1, 1)
    shares = np.zeros(2)
    shares[:axes] = values[:axes] / max(values.sum(), 1e-300)
    return places, shares


def draw_similarity(fitted: Fitted, say: Language) -> Figure:
    """Draw 1 - Jensen-Shannon distance of every two topics, similar topics beside each other."""
    distances = _distances(fitted)
    order = similarity_order(distances)
    num = len(order)
    side = 2.2 + 0.2 * num
    figure, axes = new_axes((side + 2.4, side))
    # The ones of the diagonal would take most of the colour scale.
    shown = np.where(np.eye(num, dtype=bool), np.nan, 1 - distances[np.ix_(order, order)])
    image = heat_map(axes, shown, aspect="equal")
    names = [f"{topic}  {clipped(fitted.names[topic], NAME)}" for topic in order.tolist()]
    axes.set_yticks(np.arange(num), names, fontsize=7)
    axes.set_xticks(np.arange(num), [str(topic) for topic in order], fontsize=7, rotation=90)
    colour_bar(image, axes, say("similarity of words: 1 - Jensen-Shannon distance"))
    return figure


def draw_intertopic(fitted: Fitted, say: Language) -> Figure:
    """Draw topics as circles, near where their words are similar; areas follow the share of the documents."""
    places, parts = principal_coordinates(_distances(fitted))
    figure, axes = new_axes((9, 7))
    areas = AREA * fitted.shares
    axes.axhline(0, color="0.9", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.9", linewidth=0.8, zorder=0)
    order = fitted.by_share
    axes.scatter(
        *places[order].T, s=areas[order], color=HUES[0], alpha=0.35, edgecolor=HUES[0], linewidth=0.8
    )
    axes.margins(0.14)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(say("first axis, {share} of the squared distances", share=f"{parts[0]:.0%}"))
    axes.set_ylabel(say("second axis, {share} of the squared distances", share=f"{parts[1]:.0%}"))
    axes.set_title(say("area: share of the documents"), fontsize=9)
    names = [f"{topic} {clipped(fitted.names[topic], NAME)}" for topic in order.tolist()]
    short = [str(topic) for topic in order.tolist()]
    place_names(axes, places[order], names, short=short, radii=np.sqrt(areas[order]) / 2)
    return figure


def _distances(fitted: Fitted) -> np.ndarray:
    if fitted.num_topics < 3:
        raise NoChart("{num} topics are too few to compare; it takes 3", num=fitted.num_topics)
    return jensen_shannon(fitted.result.beta)


def _entropy(rows: np.ndarray) -> np.ndarray:
    """Entropy (K,) of each row in bits."""
    return -(rows * np.log2(np.where(rows > 0, rows, 1))).sum(axis=1)
