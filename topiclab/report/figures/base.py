"""Figures of one run folder, drawn only from its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.result import TopicResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP_DOCUMENTS = 2000
NAMED_TOPICS = 12


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
    """Write document_map.png: one dot per document, coloured by main topic, with the largest topics named."""
    figure, axes = new_axes((9, 7))
    topics = result.theta[rows].argmax(axis=1)
    axes.scatter(*coordinates.T, c=topics % 20, cmap="tab20", vmin=-0.5, vmax=19.5, s=8, linewidths=0)
    words = result.topic_words(3)
    for topic in np.argsort(-np.bincount(topics, minlength=result.num_topics), kind="stable")[:NAMED_TOPICS]:
        if (topics == topic).any():
            x, y = np.median(coordinates[topics == topic], axis=0).tolist()
            box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
            axes.annotate(" ".join(words[topic]), (x, y), ha="center", fontsize=8, bbox=box)
    axes.set(
        xticks=[], yticks=[], title=f"{len(rows)} of {len(result.theta)} documents, t-SNE of their topics"
    )
    return save_figure(figure, folder / "document_map.png")


def draw_training(folder: Path) -> Path | None:
    """Write training.png, the losses in training_history.json by epoch; return None if there are none."""
    path = folder / "training_history.json"
    history = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if not history:
        return None
    figure, axes = new_axes((8, 4.5))
    names = list(dict.fromkeys(name for epoch in history for name in epoch if "/" in name))
    losses = list(dict.fromkeys(name.split("/")[1] for name in names))
    for name in names:
        stage, loss = name.split("/")
        points = [(epoch["epoch"], epoch[name]) for epoch in history if name in epoch]
        line = "--" if stage == "val" else "-"
        axes.plot(*zip(*points, strict=True), label=name, color=f"C{losses.index(loss)}", linestyle=line)
    axes.set(xlabel="epoch", ylabel="nats per document")
    axes.legend(frameon=False, fontsize=8)
    return save_figure(figure, folder / "training.png")


def draw_run(folder: Path) -> list[Path]:
    """Draw every figure of one finished run folder; raise ValueError with a file that cannot be read."""
    result = TopicResult.load(folder / "topics.npz")
    training = draw_training(folder)
    document_map = draw_document_map(folder, result, *document_coordinates(result.theta))
    return [document_map, *([training] if training else [])]


def new_axes(inches: tuple[float, float]) -> tuple[Figure, Axes]:
    """Create a figure of this size and its axes, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    return figure, figure.subplots()


def save_figure(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path
