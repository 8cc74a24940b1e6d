"""Numbers of a result: rows of a sheet, of a table in Markdown, or of published numbers, and their print."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SPREAD = "_std"
FORM = re.compile(r"(?P<name>[^ ]+) (?P<sign>\+?)(?P<digits>\.\d)(?P<spread>±?)")


@dataclass(frozen=True)
class Form:
    """Format of a metric, read from text such as `npmi +.3` or `test/nmi .3±`.

    sign: with a plus.  digits: after the point.  has_spread: followed by its standard deviation.
    """

    name: str
    sign: bool
    digits: int
    has_spread: bool

    @classmethod
    def of(cls, text: str) -> Form:
        """Form of its text; ValueError for another text."""
        found = FORM.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} is not a metric and its form; write `npmi +.3` or `test/nmi .3±`")
        return cls(found["name"], bool(found["sign"]), int(found["digits"][1:]), bool(found["spread"]))

    def shown(self, row: Mapping[str, str]) -> str:
        """Number of a row, with no zero before its point; ValueError if the row lacks it."""
        text = row.get(self.name)
        if not text:
            raise ValueError(f"no {self.name} in the row {dict(row)}")
        sign = "+" if self.sign and float(text) > -0.5 * 10**-self.digits else ""
        own = f"{sign}{bare(float(text), self.digits)}"
        return f"{own} ± {bare(float(row[self.name + SPREAD]), self.digits)}" if self.has_spread else own


def bare(value: float, digits: int) -> str:
    """Rounded number without a zero before its point or a minus before zero."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return re.sub(r"^(-?)0\.", r"\1.", text)


@cache
def rows_of(path: Path) -> tuple[Mapping[str, str], ...]:
    """Rows of a .csv or of the first table of a .md; of published numbers, which have one row each.

    FileNotFoundError if there is no such file.
    """
    text = path.read_text(encoding="utf-8")
    rows = _of_markdown(text) if path.suffix == ".md" else list(csv.DictReader(text.splitlines()))
    if not rows or "metric" not in rows[0]:
        return tuple(rows)
    merged: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        axes = {key: value for key, value in row.items() if key not in ("metric", "value", "read_in")}
        merged.setdefault(tuple(axes.values()), axes)[row["metric"]] = row["value"]
    return tuple(merged.values())


def _of_markdown(text: str) -> list[dict[str, str]]:
    """Rows of the first table; a ± b gives a and b, and the marks of the best are dropped."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    head, rows = [cell.strip() for cell in lines[0]], []
    for line in lines[2:]:
        row: dict[str, str] = {}
        for name, cell in zip(head, line, strict=True):
            value, _, spread = cell.replace("*", "").strip().partition(" ± ")
            row[name] = value
            if spread:
                row[name + SPREAD] = spread
        rows.append(row)
    return rows


def find(path: Path, where: Mapping[str, object]) -> Mapping[str, str] | None:
    """The row with these values; None if there is none or no file yet; ValueError for several."""
    if not path.is_file():
        return None
    wanted = {key: str(value) for key, value in where.items()}
    found = [row for row in rows_of(path) if all(row.get(key) == value for key, value in wanted.items())]
    if len(found) > 1:
        raise ValueError(f"{path} has {len(found)} rows with {wanted}; name more of their axes")
    return found[0] if found else None
