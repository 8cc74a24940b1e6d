"""Panels of one or several fits: words with intervals, shares, distances, traces of chains, choice of K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.figures.base import new_axes
from topiclab.report.figures.dendrogram import draw_branches
from topiclab.report.figures.style import SHADE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def grid_of_axes(num: int, columns: int, inches: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """Create a figure with num axes of this size each, row by row."""
    from matplotlib.figure import Figure

    rows = -(-num // columns)
    figure = Figure(figsize=(inches[0] * columns, inches[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[num:]:
        spare.set_visible(False)
    return figure, axes


def word_panels(
    words: Sequence[list[str]],
    mean: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    titles: list[str],
) -> Figure:
    """Draw one panel per topic: bars of its words' probabilities with intervals; mean, low, high: (K, T)."""
    figure, grid = grid_of_axes(len(words), min(5, len(words)), (3, 2.4))
    for topic, axes in enumerate(grid[: len(words)]):
        places = np.arange(len(words[topic]))
        spread = np.stack([mean[topic] - low[topic], high[topic] - mean[topic]]).clip(0)
        axes.barh(places, mean[topic], xerr=spread, color=f"C{topic % 10}", error_kw={"linewidth": 0.8})
        axes.set_yticks(places, [word.replace("$", r"\$") for word in words[topic]], fontsize=7)
        axes.tick_params(axis="x", labelsize=6)
        axes.invert_yaxis()
        axes.set_title(titles[topic], fontsize=8)
    return figure


def share_bars(shares: np.ndarray, titles: list[str]) -> Figure:
    """Draw the mean proportion of every topic with the 90 % interval of S samples; shares: (S, K)."""
    mean, (low, high) = shares.mean(axis=0), np.quantile(shares, [0.05, 0.95], axis=0)
    order = np.argsort(-mean, kind="stable")
    figure, axes = new_axes((8, 0.9 + 0.28 * len(mean)))
    spread = np.stack([mean - low, high - mean])[:, order].clip(0)
    axes.barh(np.arange(len(mean)), mean[order], xerr=spread, color=[f"C{topic % 10}" for topic in order])
    axes.set_yticks(np.arange(len(mean)), [titles[topic] for topic in order], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("mean share of a document")
    return figure


def likeness(distances: np.ndarray, merges: np.ndarray, order: np.ndarray, titles: list[str]) -> Figure:
    """Draw a heat map of distances (K, K) in the tree's order, beside the tree; merges: scipy's linkage."""
    from matplotlib.figure import Figure

    num = len(order)
    figure = Figure(figsize=(11, 1.5 + 0.42 * num), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.2])
    draw_branches(left, merges, order)
    left.set(ylim=(num - 0.5, -0.5), xlim=(max(merges[:, 2].max(initial=0), 1e-9) * 1.05, 0), yticks=[])
    left.set_xlabel("distance at which topics join", fontsize=8)
    # The zeros of the diagonal would take half of the colour scale.
    others = np.where(np.eye(num, dtype=bool), np.nan, distances[np.ix_(order, order)])
    image = right.imshow(others, cmap=f"{SHADE}_r", aspect="auto")
    right.set_yticks(np.arange(num), [titles[topic] for topic in order], fontsize=8)
    right.set_xticks(np.arange(num), [str(topic) for topic in order], fontsize=8)
    figure.colorbar(image, ax=right, label="Jensen-Shannon distance")
    return figure


def chain_traces(panels: Mapping[str, tuple[np.ndarray, np.ndarray, int]]) -> Figure:
    """Draw one panel per fit: log likelihood of every chain by sweep.

    panels: for each title the sweeps (B,), log likelihoods (M, B) of M chains and the end of the burn-in.
    """
    figure, grid = grid_of_axes(len(panels), len(panels), (4.2, 2.8))
    for axes, (title, (sweeps, likelihood, burn_in)) in zip(grid, panels.items(), strict=False):
        for number, chain in enumerate(likelihood):
            axes.plot(sweeps, chain, linewidth=0.9, label=f"chain {number}")
        axes.axvspan(0, burn_in, color="0.92", label="burn-in")
        late = likelihood[:, sweeps > 0.05 * sweeps[-1]]
        axes.set(title=title, xlabel="sweeps", ylim=(late.min() - 0.01, late.max() + 0.01))
    grid[0].set_ylabel("log likelihood, nats a token")
    grid[0].legend(frameon=False, fontsize=7)
    return figure


def curves(panels: Mapping[str, Mapping[int, Sequence[float]]]) -> Figure:
    """Draw one panel per measure: mean and standard deviation over seeds by number of topics."""
    figure, grid = grid_of_axes(len(panels), min(4, len(panels)), (3.2, 2.6))
    for axes, (title, values) in zip(grid, panels.items(), strict=False):
        sizes = sorted(values)
        mean = [float(np.mean(values[size])) for size in sizes]
        spread = [float(np.std(values[size], ddof=1)) if len(values[size]) > 1 else 0.0 for size in sizes]
        axes.errorbar(sizes, mean, yerr=spread, marker="o", capsize=3, markersize=4)
        axes.set(title=title, xlabel="topics")
        axes.set_xticks(sizes)
    return figure


def topic_map(coordinates: np.ndarray, topics: np.ndarray, titles: list[str]) -> Figure:
    """Draw one dot per document at (N, 2), coloured by main topic (N,), topics named at their medians."""
    figure, axes = new_axes((9, 6.5))
    axes.scatter(*coordinates.T, c=topics % 10, cmap="tab10", vmin=-0.5, vmax=9.5, s=9, linewidths=0)
    for topic in np.unique(topics):
        x, y = np.median(coordinates[topics == topic], axis=0).tolist()
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
        axes.annotate(titles[topic], (x, y), ha="center", fontsize=8, bbox=box)
    axes.set(xticks=[], yticks=[])
    return figure
