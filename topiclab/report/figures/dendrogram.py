"""Dendrogram: figure of the topic tree of a description folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import new_axes, save_figure
from topiclab.report.figures.style import HUES, paper_style, plain
from topiclab.report.language import ENGLISH, Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from topiclab.report.description import Description, TopicRecord

INCHES_A_TOPIC = 0.19
MAX_LABEL_LENGTH = 70  # characters
BRANCHES = 12  # subtrees with a colour each
NUM_HUES = 7  # without yellow, faint as a line


def draw_tree(described: Description, folder: Path, say: Language = ENGLISH) -> Path | None:
    """Write tree.png, one leaf per topic with number, label and share; return None if there is no tree."""
    if described.tree is None:
        return None
    order = np.array(described.tree["order"])
    merges = np.array(described.tree["merges"], dtype=float).reshape(-1, 4)
    labels = [leaf_label(described.topics[topic]) for topic in order]
    with paper_style([*labels, *say.phrases.values()]):
        figure, axes = new_axes((11, 1.2 + INCHES_A_TOPIC * len(order)))
        draw_branches(axes, merges, order)
        axes.set_yticks(np.arange(len(order)), labels, fontsize=8)
        axes.yaxis.tick_right()
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.set_xlim(max(merges[:, 2].max(initial=0.0), 1e-9) * 1.02, 0)
        axes.spines[["left", "right"]].set_visible(False)
        axes.set_xlabel(say("distance at which two groups of topics join"), fontsize=8)
        return save_figure(figure, folder / "tree.png")


def draw_branches(axes: Axes, merges: np.ndarray, order: np.ndarray) -> None:
    """Draw the brackets of every merge, with leaves at 0..K-1 in this order and subtrees in colours."""
    from matplotlib.collections import LineCollection

    num_topics = len(order)
    place = np.zeros(2 * num_topics - 1)
    place[order] = np.arange(num_topics)
    height = np.concatenate([np.zeros(num_topics), merges[:, 2]])
    brackets = []
    for row, (left, right) in enumerate(merges[:, :2].astype(int)):
        node = num_topics + row
        place[node] = (place[left] + place[right]) / 2
        corners = [(left, height[left]), (left, height[node]), (right, height[node]), (right, height[right])]
        brackets.append([(at, place[child]) for child, at in corners])
    axes.add_collection(
        LineCollection(brackets, colors=branch_colours(merges, order), linewidths=1.2, capstyle="round")
    )


def branch_colours(merges: np.ndarray, order: np.ndarray) -> list[str]:
    """Colour of every merge: that of its branch when the tree is cut at BRANCHES, gray above the cut."""
    num_topics = len(order)
    below = max(num_topics - BRANCHES, 0)
    leaves = [[topic] for topic in range(num_topics)]
    branch = np.arange(num_topics)
    for left, right in merges[:below, :2].astype(int):
        leaves.append(leaves[left] + leaves[right])
        branch[leaves[-1]] = leaves[-1][0]
    turn = {number: turn for turn, number in enumerate(dict.fromkeys(branch[order].tolist()))}
    inside = [HUES[turn[branch[node[0]]] % NUM_HUES] for node in leaves[num_topics:]]
    return [*inside, *["0.6"] * (num_topics - 1 - below)]


def leaf_label(topic: TopicRecord) -> str:
    """Format a leaf, such as `12  graph neural networks  2.3%`."""
    return f"{topic['topic']}  {short_label(topic['label'])}  {topic['share']:.1%}"


def short_label(label: str) -> str:
    """Put a label on one line of at most MAX_LABEL_LENGTH characters and escape dollars against mathtext."""
    label = " ".join(label.split())
    if len(label) > MAX_LABEL_LENGTH:
        cut = label.rfind(" ", MAX_LABEL_LENGTH // 2, MAX_LABEL_LENGTH)
        label = label[: cut if cut > 0 else MAX_LABEL_LENGTH - 1].rstrip(" …") + "…"
    return plain(label)
