"""The learning curve of a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from topiclab.report.figures.base import new_axes, save_figure
from topiclab.report.figures.style import paper_style


def draw_curve(history: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Draw the cross-entropy of training and held-out text by tokens seen, with the best held-out value.

    history: entries with tokens and val/ce, and with train/ce if steps were taken since the last entry.
    """
    with paper_style():
        figure, axes = new_axes((8, 4.5))
        for name, label, line in (("train/ce", "training", "-"), ("val/ce", "held out", "--")):
            points = [(entry["tokens"] / 1e6, entry[name]) for entry in history if name in entry]
            axes.plot(*zip(*points, strict=True), line, marker=".", label=label)
        best = min(history, key=lambda entry: entry["val/ce"])
        axes.set(
            xlabel="million tokens seen",
            ylabel="nats a token",
            title=f"best on held-out text: {best['val/ce']:.3f} nats a token, perplexity "
            f"{best['val/perplexity']:.1f}, {best['val/bits_per_byte']:.3f} bits a byte",
        )
        axes.legend()
        return save_figure(figure, path)
