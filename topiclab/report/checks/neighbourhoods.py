"""Check: preservation of a word's semantic neighbourhood by its nearest codes, beside control codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.report.checks.verdicts import setting
from topiclab.report.tables.collect import Cell
from topiclab.report.tables.effects import Interval, interval
from topiclab.report.tables.markdown import markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCES = {
    "codes": "learned codes",
    "kmeans": "k-means of the vectors",
    "random": "random codebook",
    "shuffled": "shuffled codes",
}
SPACES = {"z": "encoder", "zq": "mean of the codes", **SOURCES}
RANKS = 5


def render(cells: Sequence[Cell]) -> str:
    """Render a section for each corpus and embedder: neighbourhoods, NPMI, decay by rank, verdict."""
    sections = []
    for place in _places(cells):
        here = _of(cells, place)
        sections += [f"### {place[0]}, {place[1]}", _kept(here), _topical(here), _decay(here), verdict(here)]
    return "\n\n".join([*sections, _LEGEND]) + "\n"


def _kept(cells: Sequence[Cell]) -> str:
    """Render the overlap of every space by expansion, and its trust and continuity over all cells."""
    expansions = _expansions(cells)
    rows = []
    for space, label in SPACES.items():
        overlaps = [f"{_mean(_at(cells, expansion), f'{space}/overlap'):.3f}" for expansion in expansions]
        both = [f"{_mean(cells, f'{space}/{name}'):.3f}" for name in ("trust", "continuity")]
        rows.append([label, *overlaps, *both])
    header = [f"overlap@10, expansion {expansion}" for expansion in expansions]
    return markdown_table(["space", *header, "trust", "continuity"], rows)


def _topical(cells: Sequence[Cell]) -> str:
    """Render the NPMI gain of shared codes and the usage of codes, by source of codes and expansion."""
    rows = []
    for source, label in SOURCES.items():
        for expansion in _expansions(cells):
            here = _at(cells, expansion)
            gain = interval(_values(here, f"{source}/npmi_gain"))
            rest = [
                f"{_mean(here, f'{source}/{name}'):.3f}"
                for name in ("code_gain", "usage", "distinct", "skew")
            ]
            score = _mean(here, f"{source}/npmi_z")
            rows.append([label, str(expansion), gain.text(), f"{score:.1f}", *rest])
    header = [
        "NPMI gain of shared codes [95 %]",
        "z",
        "NPMI gain of a code's words",
        "usage",
        "distinct sets",
        "skewness",
    ]
    return markdown_table(["codes", "expansion", *header], rows)


def _decay(cells: Sequence[Cell]) -> str:
    """Render the NPMI gain of pairs whose only shared code is the r-th nearest, at the largest expansion."""
    most = _at(cells, _expansions(cells)[-1])
    rows = [
        [label, *(f"{_mean(most, f'{source}/decay{rank}'):+.3f}" for rank in range(1, RANKS + 1))]
        for source, label in SOURCES.items()
    ]
    return markdown_table(
        ["only shared code is the r-th nearest", *(f"r={rank}" for rank in range(1, RANKS + 1))], rows
    )


def verdict(cells: Sequence[Cell]) -> str:
    """Verdict on the claim, given the controls."""
    expansions = _expansions(cells)
    first, most = _at(cells, expansions[0]), _at(cells, expansions[-1])
    several = interval(_differences(most, "codes/overlap", first, "codes/overlap"))
    against = {
        name: interval(_differences(cells, "codes/npmi_gain", cells, f"{name}/npmi_gain"))
        for name in ("kmeans", "random", "shuffled")
    }
    beyond = all(against[name].low > 0 for name in ("random", "shuffled"))
    carried = carrying_ranks(most)
    word = (
        "kept"
        if beyond and several.low > 0
        else "not kept"
        if not beyond
        else "kept, but not better by several codes"
    )
    reach = f"every rank up to {carried}" if carried else "no rank"
    return (
        f"Found: neighbourhoods are **{word}**. NPMI gain of shared codes goes from "
        f"{_mean(first, 'codes/npmi_gain'):+.3f} to {_mean(most, 'codes/npmi_gain'):+.3f} as codes do. "
        f"Expansion {expansions[-1]} minus {expansions[0]} changes overlap@10 by {several.text()}. "
        f"NPMI gain of learned codes minus random codebook {against['random'].text()}, minus shuffled "
        f"{against['shuffled'].text()}, minus k-means of the vectors {against['kmeans'].text()}. Alone, a "
        f"shared code carries NPMI above exchanged words at {reach} of {min(RANKS, expansions[-1])}."
    )


def carrying_ranks(cells: Sequence[Cell]) -> int:
    """Number of ranks, counted from the first, whose gain has an interval above 0."""
    for rank in range(1, RANKS + 1):
        if not interval(_values(cells, f"codes/decay{rank}")).low > 0:
            return rank - 1
    return RANKS


def draw(cells: Sequence[Cell], path: Path) -> Path:
    """Draw a row per corpus and embedder: overlap and NPMI gain by expansion, decay by rank, skewness."""
    from matplotlib.figure import Figure

    places = _places(cells)
    figure = Figure(figsize=(15, 3.4 * len(places)), layout="constrained")
    grid = figure.subplots(len(places), 4, squeeze=False)
    for row, place in zip(grid, places, strict=True):
        here = _of(cells, place)
        for axes, (measure, label) in zip(
            row[[0, 1, 3]],
            (
                ("overlap", "overlap@10"),
                ("npmi_gain", "NPMI gain of shared codes"),
                ("skew", "skewness of words per code"),
            ),
            strict=True,
        ):
            _by_expansion(axes, here, measure)
            axes.set(xlabel="codes per word", ylabel=label, title=" ".join(place))
        _by_rank(row[2], _at(here, _expansions(here)[-1]))
    grid[0, 0].legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=150)
    return path


def _by_expansion(axes: Axes, cells: Sequence[Cell], measure: str) -> None:
    expansions = _expansions(cells)
    for number, (source, label) in enumerate(SOURCES.items()):
        found = [interval(_values(_at(cells, expansion), f"{source}/{measure}")) for expansion in expansions]
        _line(axes, expansions, found, label, f"C{number}")
    axes.set_xticks(expansions)


def _by_rank(axes: Axes, cells: Sequence[Cell]) -> None:
    for number, (source, label) in enumerate(SOURCES.items()):
        found = [interval(_values(cells, f"{source}/decay{rank}")) for rank in range(1, RANKS + 1)]
        _line(axes, range(1, RANKS + 1), found, label, f"C{number}")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="only shared code is the r-th nearest", ylabel="NPMI gain")


def _line(axes: Axes, places: Sequence[int], found: Sequence[Interval], label: str, colour: str) -> None:
    means = np.array([each.mean for each in found])
    errors = np.array([[each.mean - each.low, each.high - each.mean] for each in found]).T
    axes.errorbar(places, means, errors, label=label, color=colour, marker="o", markersize=3)


def _places(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((cell.axes["data"], cell.axes["embedder"]) for cell in cells))


def _of(cells: Sequence[Cell], place: tuple[str, str]) -> list[Cell]:
    return [cell for cell in cells if (cell.axes["data"], cell.axes["embedder"]) == place]


def _expansions(cells: Sequence[Cell]) -> list[int]:
    return sorted({setting(cell, "model.expansion") for cell in cells})


def _at(cells: Sequence[Cell], expansion: int) -> list[Cell]:
    return [cell for cell in cells if setting(cell, "model.expansion") == expansion]


def _values(cells: Sequence[Cell], name: str) -> list[float]:
    return [cell.metrics.get(name, np.nan) for cell in cells]


def _mean(cells: Sequence[Cell], name: str) -> float:
    return interval(_values(cells, name)).mean


def _differences(cells: Sequence[Cell], name: str, others: Sequence[Cell], other_name: str) -> list[float]:
    """Differences between cells with the same codebook size and seed."""
    known = {
        (
            setting(cell, "model.num_codes"),
            cell.seed,
            setting(cell, "model.expansion") if cells is others else 0,
        ): cell
        for cell in others
    }
    found = []
    for cell in cells:
        key = (
            setting(cell, "model.num_codes"),
            cell.seed,
            setting(cell, "model.expansion") if cells is others else 0,
        )
        if key in known:
            found.append(cell.metrics.get(name, np.nan) - known[key].metrics.get(other_name, np.nan))
    return found


_LEGEND = (
    "Means over codebook sizes and seeds. overlap@10: share of a word's ten nearest vectors that are "
    "among its ten nearest in the space; code sets are compared by the number of codes they share, ties at "
    "random. NPMI gain: of pairs that share codes, minus the same with words exchanged within twenty "
    "bands of frequency (50 times); z in standard deviations of those. Neighbourhoods count as kept when "
    "learned codes are above the random codebook and above shuffled codes, and as better with several codes "
    "when overlap@10 also rises from the smallest to the largest expansion, all with an interval above 0. "
    "A pair with one shared code at rank r shares no nearer code, which alone puts far ranks a little below "
    "exchanged words."
)
