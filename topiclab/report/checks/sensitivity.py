"""Check: dependence of topic quality on codebook size and expansion, and the benefit of several codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from topiclab.report.checks.verdicts import setting
from topiclab.report.tables.collect import Cell
from topiclab.report.tables.effects import Effect, Interval, analysis_of_variance, interval
from topiclab.report.tables.markdown import markdown_table
from topiclab.report.tables.plan import topics_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODEL = "tvqvae"
METRICS = ("tq", "npmi", "td25", "npmi_top50", "td25_top50", "test/nmi")
MEASURE = "tq"
CONTROLS = {
    "tvqvae_random": "random codes per word",
    "tvqvae_infer": "codebook learned with one code per word",
    "tvqvae_free": "no batch norm over topics",
}
Key = tuple[Any, ...]


def codes_of(cell: Cell) -> int:
    return setting(cell, "model.num_codes")


def expansion_of(cell: Cell) -> int:
    return setting(cell, "model.expansion")


def render(cells: Sequence[Cell]) -> str:
    """Render a section for each data set: means, analysis of variance, differences, verdict."""
    sections = []
    for data in dict.fromkeys(cell.axes["data"] for cell in cells):
        here = [cell for cell in cells if cell.axes["data"] == data]
        main = [cell for cell in here if cell.axes["model"] == MODEL]
        if not main:
            continue
        sections += [f"### {data}", _means(main), _variance(main), *_contrasts(here)]
    return "\n\n".join([*sections, _LEGEND]) + "\n"


def _means(cells: Sequence[Cell]) -> str:
    """Render METRICS over topics and seeds, and the interval of MEASURE, by num_codes and expansion."""
    names = [name for name in METRICS if any(np.isfinite(cell.metrics.get(name, np.nan)) for cell in cells)]
    rows = []
    for num_codes, expansion in _settings(cells):
        here = _at(cells, num_codes, expansion)
        spread = interval([cell.metrics.get(MEASURE, np.nan) for cell in here])
        means = [interval([cell.metrics.get(name, np.nan) for cell in here]).mean for name in names]
        rows.append(
            [
                *map(str, (num_codes, expansion, len(here))),
                *(f"{mean:.3f}" for mean in means),
                f"[{spread.low:.3f}, {spread.high:.3f}]",
            ]
        )
    return markdown_table(["N", "expansion", "cells", *names, f"95 % of {MEASURE}"], rows)


def _variance(cells: Sequence[Cell]) -> str:
    rows = [
        [effect.name, str(effect.freedom), f"{effect.share:.3f}", _number(effect.F), _number(effect.p)]
        for effect in effects(cells)
    ]
    return markdown_table([f"{MEASURE} by", "df", "share of variance", "F", "p"], rows)


def effects(cells: Sequence[Cell]) -> list[Effect]:
    """Analysis of variance of MEASURE on codebook size and expansion, after topics and seeds as blocks."""
    factors = {
        "topics": [cell.axes["num_topics"] for cell in cells],
        "seed": [cell.seed for cell in cells],
        "N": [codes_of(cell) for cell in cells],
        "expansion": [expansion_of(cell) for cell in cells],
    }
    return analysis_of_variance([cell.metrics[MEASURE] for cell in cells], factors, ("N", "expansion"))


def _contrasts(cells: Sequence[Cell]) -> list[str]:
    """Render the differences of paired cells as a table, then the verdict on the claim."""
    found = contrasts(cells)
    rows = [
        [name, str(each.num), each.text(), "yes" if each.excludes_0 else "no"] for name, each in found.items()
    ]
    return [
        markdown_table([f"difference in {MEASURE}", "pairs", "mean [95 %]", "excludes 0"], rows),
        verdict(found),
    ]


def contrasts(cells: Sequence[Cell]) -> dict[str, Interval]:
    """Mean differences of MEASURE over cells that agree in everything else, by name of the comparison."""
    main = [cell for cell in cells if cell.axes["model"] == MODEL]
    expansions = sorted({expansion_of(cell) for cell in main})
    most = expansions[-1]
    found = {
        f"expansion {other} minus 1": _paired(_at(main, None, other), _at(main, None, 1), codes_of)
        for other in expansions[1:]
    }
    for model, label in CONTROLS.items():
        control = [cell for cell in cells if cell.axes["model"] == model]
        for expansion in sorted({expansion_of(cell) for cell in control}):
            pair = _at(main, None, expansion), _at(control, None, expansion)
            found[f"expansion {expansion} minus {label}, {expansion}"] = _paired(*pair, codes_of)
    return {name: each for name, each in found.items() if each.num} | (
        {} if most > 1 else {"expansion": interval([])}
    )


def verdict(found: dict[str, Interval]) -> str:
    """Verdict: several codes per word help if they beat both one code and random codes."""
    gains = {name: each for name, each in found.items() if name.endswith("minus 1")}
    if not gains:
        return "Found: one expansion only, so nothing can be said of several codes."
    name, gain = list(gains.items())[-1]
    most = name.split()[1]
    random = found.get(f"expansion {most} minus {CONTROLS['tvqvae_random']}, {most}")
    holds = gain.low > 0 and random is not None and random.low > 0
    against = "not run" if random is None else random.text()
    word = "supported" if holds else "not supported"
    return (
        f"Found: that several codes per word give better topics is **{word}**: {name} changes {MEASURE} by "
        f"{gain.text()}, and codes that mean something instead of random ones by {against}."
    )


def _paired(first: Sequence[Cell], second: Sequence[Cell], by: Callable[[Cell], Any]) -> Interval:
    """Interval of the differences between cells with the same key, topics and seed."""

    def key(cell: Cell) -> Key:
        return by(cell), cell.axes["embedder"], cell.axes["num_topics"], cell.seed

    others = {key(cell): cell.metrics.get(MEASURE, np.nan) for cell in second}
    return interval(
        [cell.metrics.get(MEASURE, np.nan) - others[key(cell)] for cell in first if key(cell) in others]
    )


def draw(cells: Sequence[Cell], path: Path) -> Path:
    """Draw a heat map of MEASURE for each data set and number of topics, then the differences."""
    from matplotlib.figure import Figure

    data = list(dict.fromkeys(cell.axes["data"] for cell in cells))
    main = [cell for cell in cells if cell.axes["model"] == MODEL]
    topics = sorted({cell.axes["num_topics"] for cell in main}, key=topics_order)
    figure = Figure(figsize=(3.4 * len(topics) + 5.6, 3.4 * len(data)), layout="constrained")
    grid = figure.subplots(len(data), len(topics) + 1, squeeze=False, width_ratios=[1] * len(topics) + [1.6])
    for row, name in zip(grid, data, strict=True):
        for axes, num_topics in zip(row, topics, strict=False):
            here = [
                cell for cell in main if cell.axes["data"] == name and cell.axes["num_topics"] == num_topics
            ]
            _heat_map(axes, here, f"{name}, {num_topics} topics")
        _differences(row[-1], contrasts([cell for cell in cells if cell.axes["data"] == name]))
    figure.savefig(path, dpi=150)
    return path


def _heat_map(axes: Axes, cells: Sequence[Cell], title: str) -> None:
    sizes, expansions = (sorted({of(cell) for cell in cells}) for of in (codes_of, expansion_of))
    means = np.array(
        [
            [
                interval([cell.metrics[MEASURE] for cell in _at(cells, num, expansion)]).mean
                for expansion in expansions
            ]
            for num in sizes
        ]
    ).reshape(len(sizes), len(expansions))
    axes.imshow(means, cmap="viridis", aspect="auto")
    middle = np.nanmean(means) if means.size else 0
    for row, column in np.ndindex(means.shape):
        colour = "black" if means[row, column] > middle else "white"
        axes.text(
            column, row, f"{means[row, column]:.3f}", ha="center", va="center", color=colour, fontsize=9
        )
    axes.set(
        xticks=range(len(expansions)),
        xticklabels=expansions,
        yticks=range(len(sizes)),
        yticklabels=sizes,
        xlabel="codes per word",
        ylabel="codes",
        title=f"{MEASURE}: {title}",
    )


def _differences(axes: Axes, found: dict[str, Interval]) -> None:
    places = np.arange(len(found))[::-1]
    for place, each in zip(places, found.values(), strict=True):
        axes.plot([each.low, each.high], [place, place], color="C0")
        axes.plot(each.mean, place, "o", color="C0")
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set(yticks=places, ylim=(-0.6, len(found) - 0.4), xlabel=f"difference in {MEASURE}")
    axes.set_yticklabels(list(found), fontsize=7)


def _settings(cells: Sequence[Cell]) -> list[tuple[int, int]]:
    return sorted({(codes_of(cell), expansion_of(cell)) for cell in cells})


def _at(cells: Sequence[Cell], num_codes: int | None, expansion: int) -> list[Cell]:
    return [cell for cell in cells if expansion_of(cell) == expansion and num_codes in (None, codes_of(cell))]


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "-"


_LEGEND = (
    "Means over topics and seeds; intervals are percentile bootstraps over cells, of differences over "
    "pairs that agree in codebook size, topics and seed. The analysis of variance takes topics and seed "
    "out first. The claim counts as supported when the largest expansion is above one code per word and "
    "above random codes with the same expansion, both with an interval above 0."
)
