"""Tables of README.md: laid out in experiments/readme.yaml, filled from the results that they name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from topiclab.report.readme.numbers import Form, find

PLAN = "readme.yaml"
BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
BETWEEN = " / "


@dataclass(frozen=True)
class Line:
    """A row or a column: its head, the axes that choose its numbers, and its own source, if it has one.

    metrics: of a column; empty for those of the table.
    """

    head: str
    where: Mapping[str, object] = field(default_factory=dict)
    source: str | None = None
    metrics: Sequence[str] = ()


@dataclass(frozen=True)
class Variant:
    """Numbers of a cell: metrics with their forms (`npmi +.3`), a first row to name them, a note below."""

    metrics: Sequence[str] = ()
    subhead: str = ""
    note: str = ""


@dataclass(frozen=True)
class Layout:
    """One table. source: path from experiments/.  head: of the first column.

    variants: the first is used whose metrics all rows have, so that newer results bring newer metrics.
    """

    source: str
    columns: Sequence[Line]
    rows: Sequence[Line]
    variants: Sequence[Variant] = (Variant(),)
    where: Mapping[str, object] = field(default_factory=dict)
    head: str = ""


def read_plan(experiments: Path) -> dict[str, Layout]:
    """Layouts by name; ValueError for a key that they do not have."""
    path = experiments / PLAN
    plan: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        for node in plan.values():
            node |= {key: [Line(**entry) for entry in node[key]] for key in ("columns", "rows")}
            node["variants"] = [Variant(**entry) for entry in node.get("variants", [{}])]
        return {name: Layout(**node) for name, node in plan.items()}
    except (KeyError, TypeError) as fault:
        raise ValueError(f"{path}: {fault}") from fault


def render(experiments: Path, layout: Layout) -> tuple[str, list[str]]:
    """The table, and the heads of rows that are left out because no result has them yet; '' without rows."""
    found = {row.head: _found(experiments, layout, row) for row in layout.rows}
    if len(found) < len(layout.rows):
        raise ValueError(f"two rows of {layout.source} have one head; give each its own")
    there = {head: cells for head, cells in found.items() if cells is not None}
    absent = [head for head in found if head not in there]
    if not there:
        return "", absent
    variant = next(each for each in layout.variants if _is_in_all(each, there) or each is layout.variants[-1])
    width = len(layout.columns)
    lines = [_line([layout.head, *(column.head for column in layout.columns)]), _line(["---"] * (width + 1))]
    if variant.subhead:
        lines.append(_line(["", *([variant.subhead] * width)]))
    for head, cells in there.items():
        shown = (
            BETWEEN.join(Form.of(text).shown(cell) for text in column.metrics or variant.metrics)
            for column, cell in zip(layout.columns, cells, strict=True)
        )
        lines.append(_line([head, *shown]))
    note = f"\n{variant.note}\n" if variant.note else ""
    return "\n".join(lines) + f"\n{note}", absent


def _found(experiments: Path, layout: Layout, row: Line) -> list[Mapping[str, str]] | None:
    """Row of a result for each cell of a row of the table; None if one is missing."""
    cells = [
        find(
            experiments / (column.source or row.source or layout.source),
            {**layout.where, **row.where, **column.where},
        )
        for column in layout.columns
    ]
    there = [cell for cell in cells if cell is not None]
    return there if len(there) == len(cells) else None


def _is_in_all(variant: Variant, found: Mapping[str, Sequence[Mapping[str, str]]]) -> bool:
    names = [Form.of(text).name for text in variant.metrics]
    return all(cell.get(name) for cells in found.values() for cell in cells for name in names)


def _line(cells: Sequence[str]) -> str:
    return re.sub(r"^\|  \|", "| |", "| " + " | ".join(cells) + " |")


def with_tables(text: str, experiments: Path) -> tuple[str, list[str]]:
    """Text of the README with the tables between its marks made anew, and notes about what is left out.

    Raises ValueError where marks and layouts differ.
    """
    plan, notes = read_plan(experiments), list[str]()
    marked = [name for _, name, _ in BLOCK.findall(text)]
    if sorted(marked) != sorted(plan):
        raise ValueError(f"README.md marks the tables {marked}, and experiments/{PLAN} lays out {list(plan)}")

    def filled(match: re.Match[str]) -> str:
        table, absent = render(experiments, plan[match[2]])
        notes.extend(f"{match[2]}: no result yet for {head}" for head in absent)
        return f"{match[1]}{table}{match[3]}"

    return BLOCK.sub(filled, text), notes
