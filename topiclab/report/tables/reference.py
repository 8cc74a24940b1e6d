"""Published numbers (experiments/<system>/reference.csv) and their settings (reference.yaml)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from topiclab.report.tables.collect import Cell

ABSENT = object()


@dataclass(frozen=True)
class Published:
    """A published number, its teacher ('' for models without one), and its source."""

    value: float
    teacher: str
    read_in: str


@dataclass(frozen=True)
class Reference:
    """The numbers of a paper.

    rows: data, model, objective, teacher, num_topics, metric, value, read_in.
    sources: full references of the abbreviations in `read_in`.
    settings: the configuration behind the numbers, {dotted key: value} for 'all', an objective or
    'objective/model'.
    notes: differences that no configuration key expresses.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    sources: Mapping[str, str]
    settings: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str]

    def numbers_of(self, axes: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Published]:
        """Published numbers for a line's data, model and objective, by metric.

        The number with the line's own teacher is preferred, else the first in the file. A published mean over
        several numbers of topics applies to lines that are averaged over exactly these.
        """
        found: dict[str, Published] = {}
        for row in self.rows:
            name = row["metric"]
            fits = all(row[key] == str(axes[key]) for key in ("data", "model", "objective", "num_topics"))
            if not fits or name not in metrics:
                continue
            if name not in found or row["teacher"] == axes["teacher"]:
                found[name] = Published(float(row["value"]), row["teacher"], row["read_in"])
        return found

    def differences(self, cells: Sequence[Cell]) -> Iterator[str]:
        """Yield 'key: ours, published value' wherever a finished cell has a different setting."""
        ours: dict[tuple[str, str], dict[str, None]] = {}
        for cell in cells:
            model, objective = cell.axes["model"], cell.axes["objective"]
            wanted: dict[str, Any] = {}
            for kind in ("all", objective, f"{objective}/{model}"):
                wanted |= self.settings.get(kind, {})
            for key, value in wanted.items() if cell.config else ():
                value_here = _lookup(cell.config, key)
                if value_here is not ABSENT and value_here != value:
                    ours.setdefault((key, _shown(value)), {})[_shown(value_here)] = None
        for (key, published), values in ours.items():
            yield f"{key}: {' or '.join(values)}, published {published}"


def read_reference(folder: Path) -> Reference:
    """Read a system's reference; raise ValueError if a row names a source that the yaml does not explain."""
    facts = yaml.safe_load((folder / "reference.yaml").read_text(encoding="utf-8"))
    with (folder / "reference.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if unknown := sorted({row["read_in"] for row in rows} - facts["sources"].keys()):
        raise ValueError(
            f"{folder}/reference.csv has read_in {', '.join(unknown)}; add that to sources in reference.yaml"
        )
    return Reference(facts["title"], rows, facts["sources"], facts["settings"], facts["notes"])


def _lookup(config: Mapping[str, Any], key: str) -> Any:
    """Value at a dotted key, or ABSENT."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part, ABSENT) if isinstance(node, Mapping) else ABSENT
    return node


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
