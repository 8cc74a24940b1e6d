"""Flow of the documents' shares between topics from period to period, as a Sankey diagram."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.description import TimeRecord
from topiclab.report.figures.base import new_axes
from topiclab.report.figures.periods import time_of
from topiclab.report.figures.similarity import jensen_shannon, similarity_order
from topiclab.report.figures.style import HUES, REST, clipped
from topiclab.report.fitted import Fitted, NoChart
from topiclab.report.language import Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPANS = 6  # columns of the diagram, each of one or more periods
NAMED = 16  # topics with bands of their own
NAME = 26  # letters
GAP, WIDTH = 0.012, 0.05  # between two topics; of a column
CAPTION = (
    "height: share of the documents; a band inside a topic stays in it, the others are the least movement "
    "of share between the two periods over distances of words"
)
NUM_HUES = 6  # without black and yellow
LEAST = 1e-4  # share of the documents below which a flow is not drawn


def spans_of(time: TimeRecord, most: int = SPANS) -> tuple[list[str], np.ndarray]:
    """Names (S,) of at most so many runs of periods, and shares (K, S) of the topics over their documents.

    Runs differ by one period at most; one without documents is left out.
    """
    totals = np.array(time["totals"], dtype=float)
    shares = np.nan_to_num(np.array(time["shares"], dtype=float))
    names, found = [], []
    for run in np.array_split(np.arange(len(totals)), min(most, len(totals))):
        start, stop = int(run[0]), int(run[-1]) + 1
        if weight := totals[start:stop].sum():
            first, last = time["periods"][start], time["periods"][stop - 1]
            names.append(first if first == last else f"{first} –\n{last}")
            found.append(shares[:, start:stop] @ totals[start:stop] / weight)
    return names, np.stack(found, axis=1)


def least_movement(before: np.ndarray, after: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Optimal transport plan (K, K) between two distributions (K,) over topics; rows sum to before.

    distances: (K, K), a metric, so that whatever a topic has in both periods stays in it; the rest is a
    linear program over the topics that lose and those that gain.
    """
    from scipy.optimize import linprog

    before, after = before / before.sum(), after / after.sum()
    stays = np.minimum(before, after)
    plan = np.diag(stays)
    losing, gaining = np.flatnonzero(before > stays), np.flatnonzero(after > stays)
    if not len(losing) or not len(gaining):
        return plan
    loss, gain = (before - stays)[losing], (after - stays)[gaining]
    sums = np.concatenate(
        [np.kron(np.eye(len(loss)), np.ones(len(gain))), np.tile(np.eye(len(gain)), len(loss))]
    )
    solved = linprog(
        distances[np.ix_(losing, gaining)].ravel(),
        A_eq=sums[:-1],  # the last follows from the others
        b_eq=np.concatenate([loss, gain * loss.sum() / gain.sum()])[:-1],
        method="highs",
    )
    plan[np.ix_(losing, gaining)] = np.maximum(solved.x, 0).reshape(len(loss), len(gain))
    return plan


def draw_flow(fitted: Fitted, say: Language) -> Figure:
    """Draw a column per span of periods: topics as blocks by share, flows to the next column as bands.

    Flows are `least_movement` over Jensen-Shannon distances of the topics' words: no document is in two
    periods, so they tell what is the least that has to move, not what did. Topics beyond NAMED are one block.
    """
    time = time_of(fitted)
    spans, shares = spans_of(time)
    if len(spans) < 2:
        raise NoChart("the documents are of one span of time")
    distances = jensen_shannon(fitted.result.beta)
    blocks = _blocks(shares, distances)
    num = len(blocks)
    member = np.zeros((num, fitted.num_topics))
    for row, topics in enumerate(blocks):
        member[row, topics] = 1
    heights = member @ (shares / shares.sum(axis=0))
    flows = [
        member @ least_movement(before, after, distances) @ member.T for before, after in pairwise(shares.T)
    ]
    bottoms = _bottoms(heights)
    figure, axes = new_axes((11, 8))
    colours = [REST if len(topics) > 1 else HUES[row % NUM_HUES] for row, topics in enumerate(blocks)]
    for column, flow in enumerate(flows):
        _draw_bands(axes, column, flow, bottoms, colours)
    for column in range(len(spans)):
        at = column - WIDTH / 2
        axes.bar(np.full(num, at), heights[:, column], WIDTH, bottoms[:, column], align="edge", color=colours)
    _name_blocks(axes, fitted, blocks, bottoms[:, -1] + heights[:, -1] / 2, len(spans) - 1, say)
    axes.set_xticks(np.arange(len(spans)), spans)
    axes.set_xlim(-WIDTH, len(spans) - 1 + WIDTH)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(say(CAPTION), fontsize=8)
    return figure


def _blocks(shares: np.ndarray, distances: np.ndarray) -> list[list[int]]:
    """Topics by block, from the bottom: the smaller ones as one, then the largest by similarity."""
    size = shares.mean(axis=1)
    largest = np.argsort(-size, kind="stable")[: NAMED if len(size) > NAMED + 1 else len(size)]
    order = [topic for topic in similarity_order(distances).tolist() if topic in largest]
    rest = [topic for topic in range(len(size)) if topic not in largest]
    return [*([rest] if rest else []), *([topic] for topic in order)]


def _bottoms(heights: np.ndarray) -> np.ndarray:
    """Lower edges of the blocks (B, S), stacked with gaps."""
    return np.cumsum(heights, axis=0) - heights + GAP * np.arange(len(heights))[:, None]


def _draw_bands(axes: Axes, column: int, flow: np.ndarray, bottoms: np.ndarray, colours: list[str]) -> None:
    """Draw the flow (B, B) from one column to the next; those that leave a block are stacked by target."""
    left, right = bottoms[:, column].copy(), bottoms[:, column + 1].copy()
    start, stop = column + WIDTH / 2, column + 1 - WIDTH / 2
    x = np.linspace(0, 1, 40)
    ease = x**2 * (3 - 2 * x)
    for source in range(len(flow)):
        for target in range(len(flow)):
            height = flow[source, target]
            if height > LEAST:
                low = left[source] + (right[target] - left[source]) * ease
                axes.fill_between(
                    start + (stop - start) * x,
                    low,
                    low + height,
                    color=colours[source],
                    alpha=0.45 if source == target else 0.7,
                    linewidth=0,
                )
            left[source] += height
            right[target] += height


def _name_blocks(
    axes: Axes, fitted: Fitted, blocks: list[list[int]], middles: np.ndarray, last: int, say: Language
) -> None:
    for topics, middle in zip(blocks, middles.tolist(), strict=True):
        name = f"{topics[0]}  {clipped(fitted.names[topics[0]], NAME)}"
        if len(topics) > 1:
            name = say("{num} smaller topics", num=len(topics))
        axes.annotate(
            name,
            (last + WIDTH / 2, middle),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            annotation_clip=False,
        )
