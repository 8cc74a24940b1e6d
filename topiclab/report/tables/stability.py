"""Stability over seeds: how much the topics of each seed resemble those of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hydra.utils import get_object

from topiclab.report.tables.collect import Cell
from topiclab.report.tables.plan import AXES
from topiclab.result import TopicResult

STABILITY = "stability"  # the column
MEASURE = "topiclab.metrics.stability.stability"  # looked up where asked for: a table needs no numpy


def with_stability(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with the metric `stability`: mean cosine of matched topics (word distributions), in [0, 1].

    Of a cell it is the mean over the other seeds of its configuration, so the mean of a line is that of all
    pairs of seeds. A cell without another finished seed, or of another vocabulary, has a reason instead.
    """
    groups: dict[tuple, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.axes[axis] for axis in AXES), []).append(cell)
    found = {id(cell): measured for group in groups.values() for cell, measured in _measured(group)}
    return [found.get(id(cell), cell) for cell in cells]


def _measured(group: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Each finished cell of a configuration, without and with its stability."""
    done = [cell for cell in group if cell.is_done]
    if len(done) < 2:
        return [(cell, _without(cell, "only one seed is done")) for cell in done]
    try:
        results = [TopicResult.load(cell.folder / "topics.npz") for cell in done]
    except ValueError as error:
        return [(cell, _without(cell, str(error))) for cell in done]
    if len({result.vocab for result in results}) > 1:
        return [(cell, _without(cell, "the seeds have different words")) for cell in done]
    stability, pairs = get_object(MEASURE), {}
    for first, one in enumerate(results):
        for second in range(first + 1, len(results)):
            fits = sorted([one.beta, results[second].beta], key=len)
            pairs[first, second] = stability(fits)
    measured = []
    for number, cell in enumerate(done):
        own = [value for pair, value in pairs.items() if number in pair]
        metrics = {**cell.metrics, STABILITY: sum(own) / len(own)}
        measured.append((cell, replace(cell, metrics=metrics)))
    return measured


def _without(cell: Cell, reason: str) -> Cell:
    metrics, reasons = {**cell.metrics, STABILITY: float("nan")}, {**cell.reasons, STABILITY: reason}
    return replace(cell, metrics=metrics, reasons=reasons)
