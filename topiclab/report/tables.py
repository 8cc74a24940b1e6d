"""Tables over cells: mean and standard deviation over seeds, as Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from topiclab.report.collect import AXES, Cell, group_cells

DEFAULT_METRICS = ("npmi", "c_v", "td", "test/purity", "test/nmi", "test/perplexity", "seconds")
LOWER_IS_BETTER = ("perplexity", "seconds")
UNRANKED = ("topics_used",)


@dataclass(frozen=True)
class Score:
    """One metric over the seeds of one configuration; std is the sample's (n - 1), nan for one seed."""

    mean: float
    std: float
    num: int


@dataclass(frozen=True)
class Line:
    """One configuration: its values of AXES, how many seeds are done, and a Score per metric."""

    axes: dict[str, Any]
    num_seeds: int
    scores: dict[str, Score]


def metric_names(cells: Sequence[Cell]) -> list[str]:
    """Every metric that some cell has a number for, in the order of the run folders, then `seconds`."""
    names = [name for cell in cells for name, value in cell.metrics.items() if math.isfinite(value)]
    return [*dict.fromkeys(names), "seconds"]


def summarise(cells: Sequence[Cell], metrics: Sequence[str]) -> list[Line]:
    """One line per configuration with at least one finished cell, in the order of `cells`."""
    lines = []
    for values, group in group_cells([cell for cell in cells if cell.is_done]).items():
        scores = {name: _score([_value(cell, name) for cell in group]) for name in metrics}
        lines.append(Line(dict(zip(AXES, values, strict=True)), len(group), scores))
    return lines


def render(lines: Sequence[Line], metrics: Sequence[str], style: str) -> str:
    """The table as text; style is md, latex or csv."""
    return {"md": _markdown, "latex": _latex, "csv": _csv}[style](lines, metrics)


def _value(cell: Cell, name: str) -> float:
    return cell.seconds if name == "seconds" else cell.metrics.get(name, math.nan)


def _score(values: Sequence[float]) -> Score:
    finite = [value for value in values if math.isfinite(value)]
    mean = statistics.fmean(finite) if finite else math.nan
    return Score(mean, statistics.stdev(finite) if len(finite) > 1 else math.nan, len(finite))


def _best(lines: Sequence[Line], name: str) -> dict[tuple[Any, Any], float]:
    """The best mean, as printed, of each contest; none where a line is alone in it."""
    if name.endswith(UNRANKED):
        return {}
    means: dict[tuple[Any, Any], list[float]] = {}
    for line in lines:
        mean = _rounded(line.scores[name].mean)
        if math.isfinite(mean):
            means.setdefault(_contest(line), []).append(mean)
    choose = min if name.endswith(LOWER_IS_BETTER) else max
    return {contest: choose(values) for contest, values in means.items() if len(values) > 1}


def _contest(line: Line) -> tuple[Any, Any]:
    """Lines with the same are compared."""
    return line.axes["data"], line.axes["num_topics"]


def _digits(value: float) -> int:
    return 1 if abs(value) >= 10 else 3


def _rounded(value: float) -> float:
    return round(value, _digits(value)) if math.isfinite(value) else value


def _grid(
    lines: Sequence[Line], metrics: Sequence[str], plus_minus: str, bold: str
) -> tuple[list[str], list[list[str]]]:
    """Header and rows as text; an axis that never varies is left to the caption."""
    axes = [
        axis for axis in AXES if axis in ("data", "model") or len({line.axes[axis] for line in lines}) > 1
    ]
    best = {name: _best(lines, name) for name in metrics}
    rows = []
    for line in lines:
        row = [str(line.axes[axis]) for axis in axes] + [str(line.num_seeds)]
        for name in metrics:
            score, digits = line.scores[name], _digits(line.scores[name].mean)
            text = f"{score.mean:.{digits}f}" if score.num else "-"
            is_best = _rounded(score.mean) == best[name].get(_contest(line))
            text = bold.format(text) if is_best else text
            text += f" {plus_minus} {score.std:.{digits}f}" if score.num > 1 else ""
            text += f" (n={score.num})" if 0 < score.num < line.num_seeds else ""
            row.append(text)
        rows.append(row)
    return [*axes, "seeds", *metrics], rows


def caption(lines: Sequence[Line]) -> str:
    """What the table leaves out of its rows: the axes with one value, and what the numbers are."""
    fixed = [axis for axis in AXES[2:] if len({line.axes[axis] for line in lines}) == 1]
    same = ", ".join(
        f"{axis}={lines[0].axes[axis]}" for axis in fixed if lines[0].axes[axis] not in ("", None)
    )
    return f"Mean ± standard deviation over seeds, best per data set and num_topics in bold. {same}".strip()


def _markdown(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    header, rows = _grid(lines, metrics, "±", "**{}**")
    table = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in table) + f"\n\n{caption(lines)}\n"


def _latex(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """A booktabs tabular, for \\input between \\begin{table} and \\end{table}."""
    header, rows = _grid(lines, metrics, "$\\pm$", "\\textbf{{{}}}")
    num_texts = len(header) - len(metrics)
    body = [" & ".join(cell.replace("_", "\\_") for cell in row) + r" \\" for row in (header, *rows)]
    return "\n".join(
        [
            "% " + caption(lines),
            rf"\begin{{tabular}}{{{'l' * (num_texts - 1)}r{'r' * len(metrics)}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _csv(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """Axes, seeds, then <metric> and <metric>_std at six digits; empty where there is no number."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*AXES, "seeds", *(column for name in metrics for column in (name, f"{name}_std"))])
    for line in lines:
        numbers = [number for name in metrics for number in (line.scores[name].mean, line.scores[name].std)]
        texts = [f"{number:.6g}" if math.isfinite(number) else "" for number in numbers]
        writer.writerow([*line.axes.values(), line.num_seeds, *texts])
    return stream.getvalue()
