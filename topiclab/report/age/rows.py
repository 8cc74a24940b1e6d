"""Rows of experiments/README.md: when and at which commit the result of each was measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from topiclab.report.age.tables import Measured

HEAD = "| paper: table | yaml | command | cells | hours | result |"
COLUMN = " measured at |"
LINK = re.compile(r"\]\((?!\.\.)([^)]+)\)")
NAMED = re.compile(r"^in (\S+)$")


def with_measured(text: str, measured: Callable[[str], Measured | None]) -> str:
    """Text of the README with the column `measured at` made anew; measured: by path from experiments/."""
    places = {Path(path).name: path for path in LINK.findall(text)}
    lines: list[str] = []
    is_inside = False
    for line in text.splitlines():
        is_inside = line.startswith("|") and (is_inside or line.startswith(HEAD))
        lines.append(_row(line, places, measured) if is_inside else line)
    return "\n".join(lines) + "\n"


def _row(line: str, places: dict[str, str], measured: Callable[[str], Measured | None]) -> str:
    cells = line.strip("|").split("|")[:6]
    own = "|" + "|".join(cells) + "|"
    if line.startswith(HEAD):
        return own + COLUMN
    if set(line) <= set("| -"):
        return own + " --- |"
    result = cells[-1].strip()
    named = NAMED.search(result)
    paths = [places[named[1]]] if named and named[1] in places else LINK.findall(result)
    found = (measured(path) for path in paths)
    shown = dict.fromkeys(each.shown() for each in found if each)
    return f"{own} {'; '.join(shown)} |" if shown else f"{own} |"


def command_of(experiments: Path, place: str) -> str | None:
    """Command of the row that links a result (arxiv/map); None if there is no such row."""
    for line in (experiments / "README.md").read_text(encoding="utf-8").splitlines():
        if any(Path(path).with_suffix("").as_posix() == place for path in LINK.findall(line)):
            found = line.split("|")[3].strip() if line.startswith("|") else ""
            return found.strip("`") or None
    return None
