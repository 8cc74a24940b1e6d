"""Check: agreement between topics of images and topics of their captions, compared with permuted pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from topiclab.report.checks.verdicts import setting
from topiclab.report.tables.collect import Cell
from topiclab.report.tables.effects import interval
from topiclab.report.tables.markdown import markdown_table

MEASURES = {
    "cka": "CKA",
    "matched_correlation": "matched correlation",
    "matched_top1": "top-1 agreement",
    "recall@1": "recall@1",
    "recall@5": "recall@5",
    "nmi": "NMI",
}
SIDES = {"topics": "image topics", "pixels": "clusters of pixels", "labels": "the true classes"}
BEYOND = 2.0  # standard deviations over permuted pairs, above which agreement is beyond chance


def render(cells: Sequence[Cell]) -> str:
    """Render a section for each data set: every measure with its z, the controls, the verdict."""
    sections = []
    for data in dict.fromkeys(cell.axes["data"] for cell in cells):
        here = [cell for cell in cells if cell.axes["data"] == data]
        sections += [f"### {data}", _by_setting(here), _by_side(here), verdict(here)]
    return "\n\n".join([*sections, _LEGEND]) + "\n"


def _by_setting(cells: Sequence[Cell]) -> str:
    """Render value and z of every measure, by regions, topics and embedder of the captions."""
    rows = []
    for key in _settings(cells):
        here = [cell for cell in cells if _setting(cell) == key]
        columns = [_score_text(here, "topics", name) for name in MEASURES]
        rows.append([*map(str, key), str(len(here)), *columns])
    return markdown_table(["words of an image", "topics", "captions by", "seeds", *MEASURES.values()], rows)


def _by_side(cells: Sequence[Cell]) -> str:
    """Render a row for the image topics and for each control in their place: clusters of pixels, classes."""
    rows = [[label, *(_score_text(cells, side, name) for name in MEASURES)] for side, label in SIDES.items()]
    rows.append(["permuted pairs", *(f"{_mean(cells, f'topics/{name}_null'):.3f}" for name in MEASURES)])
    return markdown_table(["against the topics of captions", *MEASURES.values()], rows)


def _score_text(cells: Sequence[Cell], side: str, name: str) -> str:
    return f"{_mean(cells, f'{side}/{name}'):.3f} (z {_mean(cells, f'{side}/{name}_z'):.1f})"


def verdict(cells: Sequence[Cell]) -> str:
    """Verdict: the topics agree if every measure is beyond permuted pairs in every cell."""
    beyond = {
        name: np.mean([cell.metrics.get(f"topics/{name}_z", np.nan) > BEYOND for cell in cells])
        for name in MEASURES
    }
    holds = all(share == 1 for share in beyond.values())
    some = ", ".join(f"{MEASURES[name]} in {share:.0%}" for name, share in beyond.items() if share < 1)
    cka, most = (interval([cell.metrics[f"{side}/cka"] for cell in cells]) for side in ("topics", "labels"))
    pixels = interval([cell.metrics["topics/cka"] - cell.metrics["pixels/cka"] for cell in cells])
    word = "agree beyond chance" if holds else "do not agree beyond chance in every measure"
    but = f" (beyond {BEYOND:g} deviations: {some} of the cells)" if some else ""
    return (
        f"Found: topics of images and of captions **{word}**{but}. CKA {cka.text()}, where the true classes "
        f"reach {most.text()}; minus that of clusters of pixels {pixels.text()}. The captions say the class "
        "and nothing else of an image: this measures what both models know of the class, not a shared space."
    )


def draw(cells: Sequence[Cell], path: Path) -> Path:
    """Draw a panel for each data set: every measure of the three sides, and permuted pairs as a mark."""
    from matplotlib.figure import Figure

    data = list(dict.fromkeys(cell.axes["data"] for cell in cells))
    figure = Figure(figsize=(9, 3.6 * len(data)), layout="constrained")
    for axes, name in zip(figure.subplots(len(data), 1, squeeze=False)[:, 0], data, strict=True):
        here = [cell for cell in cells if cell.axes["data"] == name]
        places = np.arange(len(MEASURES))
        for number, (side, label) in enumerate(SIDES.items()):
            found = [interval([cell.metrics[f"{side}/{measure}"] for cell in here]) for measure in MEASURES]
            means = np.array([each.mean for each in found])
            errors = np.array([[each.mean - each.low, each.high - each.mean] for each in found]).T
            axes.bar(places + 0.25 * (number - 1), means, 0.25, yerr=errors, label=label, color=f"C{number}")
        null = [_mean(here, f"topics/{measure}_null") for measure in MEASURES]
        axes.plot(places - 0.25, null, "_", color="black", markersize=16, label="permuted pairs")
        axes.set(xticks=places, ylabel="agreement with topics of captions", title=name)
        axes.set_xticklabels(list(MEASURES.values()))
        axes.legend(frameon=False, fontsize=8, loc="upper center")
    figure.savefig(path, dpi=150)
    return path


def _setting(cell: Cell) -> tuple[str, int, str]:
    return setting(cell, "model.regions"), cell.axes["num_topics"], cell.axes["embedder"]


def _settings(cells: Sequence[Cell]) -> list[tuple[str, int, str]]:
    return list(dict.fromkeys(map(_setting, cells)))


def _mean(cells: Sequence[Cell], name: str) -> float:
    return interval([cell.metrics.get(name, np.nan) for cell in cells]).mean


_LEGEND = (
    "Means over seeds on held-out pairs; z in standard deviations over permutations of the pairs "
    "(1000; for the controls 200). CKA: linear, debiased. Matched: topics matched one to one by their "
    "correlations on the training pairs. recall: the caption of an image is among the nearest under a ridge "
    "map. The true classes, as one-hot rows in place of the image topics, are the upper bound for captions "
    "of classes."
)
