"""Tables of scores as Markdown, LaTeX or CSV, with published numbers next to ours."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from topiclab.report.tables.plan import AXES
from topiclab.report.tables.scores import Line, Score

COHERENCE = ("npmi", "npmi_usage", "npmi_beta", "c_v", "td", "td_usage", "td_beta")
DEFAULT_METRICS = (*COHERENCE, "test/purity", "test/nmi", "test/perplexity", "seconds")
LOWER_IS_BETTER = ("perplexity", "seconds")
UNRANKED = ("topics_used",)


def render(lines: Sequence[Line], metrics: Sequence[str], style: str) -> str:
    """Render the table as text; style is md, latex or csv."""
    return {"md": _markdown, "latex": _latex, "csv": _csv}[style](lines, metrics)


def _best(lines: Sequence[Line], name: str) -> dict[tuple[Any, Any], float]:
    """Best mean of each contest, as printed; a contest with a single line has none."""
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
    """Key by which lines are compared: data set and number of topics."""
    return line.axes["data"], line.axes["num_topics"]


def _digits(value: float) -> int:
    return 1 if abs(value) >= 10 else 3


def _rounded(value: float) -> float:
    return round(value, _digits(value)) if math.isfinite(value) else value


def _grid(
    lines: Sequence[Line], metrics: Sequence[str], plus_minus: str, bold: str
) -> tuple[list[str], list[list[str]]]:
    """Header and rows as text; an axis that never varies is left to the caption, except data and model."""
    axes = [
        axis for axis in AXES if axis in ("data", "model") or len({line.axes[axis] for line in lines}) > 1
    ]
    best = {name: _best(lines, name) for name in metrics}
    rows = []
    for line in lines:
        row = [str(line.axes[axis]) for axis in axes] + [str(line.num_seeds)]
        for name in metrics:
            score = line.scores[name]
            is_best = _rounded(score.mean) == best[name].get(_contest(line))
            text = score_text(score, plus_minus, bold if is_best else "{}")
            row.append(text + (f" (n={score.num})" if 0 < score.num < line.num_seeds else ""))
            if _has_published(lines, name):
                row += _published_texts(line, name)
        rows.append(row)
    columns = [
        column
        for name in metrics
        for column in ((name, "published", "difference") if _has_published(lines, name) else (name,))
    ]
    return [*axes, "seeds", *columns], rows


def score_text(score: Score, plus_minus: str = "±", frame: str = "{}") -> str:
    """Format mean ± standard deviation, or a dash if there is no number."""
    if not score.num:
        return "-"
    digits = _digits(score.mean)
    spread = f" {plus_minus} {score.std:.{digits}f}" if score.num > 1 else ""
    return frame.format(f"{score.mean:.{digits}f}") + spread


def _has_published(lines: Sequence[Line], name: str) -> bool:
    return any(name in line.published for line in lines)


def _published_texts(line: Line, name: str) -> list[str]:
    """Published number, with its teacher if it differs from ours, and the difference ours minus published."""
    if name not in line.published:
        return ["", ""]
    published, mean = line.published[name], line.scores[name].mean
    teacher = f" ({published.teacher})" if published.teacher not in ("", line.axes["teacher"]) else ""
    difference = f"{mean - published.value:+.3f}" if math.isfinite(mean) else "-"
    return [f"{published.value:.3f}{teacher}", difference]


def caption(lines: Sequence[Line]) -> str:
    """Caption: meaning of the numbers, and the axes with a single value, which are not in the rows."""
    fixed = [axis for axis in AXES if len({line.axes[axis] for line in lines}) == 1]
    same = ", ".join(
        f"{axis}={lines[0].axes[axis]}"
        for axis in fixed
        if axis not in ("data", "model") and lines[0].axes[axis] not in ("", None)
    )
    return f"Mean ± standard deviation over seeds, best per data set and num_topics in bold. {same}".strip()


def _markdown(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    header, rows = _grid(lines, metrics, "±", "**{}**")
    return f"{markdown_table(header, rows)}\n\n{caption(lines)}\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def _latex(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """Render a booktabs tabular, for \\input between \\begin{table} and \\end{table}."""
    header, rows = _grid(lines, metrics, "$\\pm$", "\\textbf{{{}}}")
    num_texts = header.index("seeds") + 1
    body = [" & ".join(cell.replace("_", "\\_") for cell in row) + r" \\" for row in (header, *rows)]
    return "\n".join(
        [
            "% " + caption(lines),
            rf"\begin{{tabular}}{{{'l' * (num_texts - 1)}r{'r' * (len(header) - num_texts)}}}",
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
    """Render axes, seeds, then <metric>, <metric>_std and any <metric>_published, with six digits."""
    published = [name for name in metrics if _has_published(lines, name)]
    columns = [column for name in metrics for column in (name, f"{name}_std")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*AXES, "seeds", *columns, *(f"{name}_published" for name in published)])
    for line in lines:
        numbers = [number for name in metrics for number in (line.scores[name].mean, line.scores[name].std)]
        numbers += [line.published[name].value if name in line.published else math.nan for name in published]
        texts = [f"{number:.6g}" if math.isfinite(number) else "" for number in numbers]
        writer.writerow([*line.axes.values(), line.num_seeds, *texts])
    return stream.getvalue()
