"""Provenance of a table: commit, commands, data, versions, devices, dates and read-outs of its cells."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TypedDict

from topiclab.atomic import write_json
from topiclab.report.tables.collect import Cell
from topiclab.runs.provenance import git_revision

SUFFIX = ".provenance.json"
DIRTY = "-dirty"
SHOWN = 10  # letters of a commit or a fingerprint
# Metrics of the model's own read-out.
OWN_READOUT = ("npmi", "c_v", "umass", "td", "td25", "tq", "irbo", "frex", "exclusivity")


def provenance_path(table: Path) -> Path:
    """Path of the provenance of a table; its .md, .csv and .png share one."""
    return table.with_name(table.stem + SUFFIX)


class Measured(TypedDict):
    """First and last day, as YYYY-MM-DD."""

    first: str
    last: str


class Provenance(TypedDict):
    """Facts of the finished cells of a table.

    commands: lines that make the cells and the table.  written, written_at: when the table was, and by what
    commit.  revisions, devices: number of cells of each.  data: fingerprints of each corpus.
    readout: of each model.  versions: of each library.
    """

    commands: list[str]
    written: str
    written_at: str | None
    measured: Measured | None
    revisions: dict[str, int]
    data: dict[str, list[str]]
    readout: dict[str, list[str]]
    devices: dict[str, int]
    versions: dict[str, list[str]]


def provenance(cells: Sequence[Cell], commands: Sequence[str]) -> Provenance:
    """Facts of the finished cells of a table, for its provenance file.

    commands: lines that make the cells and the table.
    """
    found = [(cell, cell.origin) for cell in cells if cell.is_done and cell.origin is not None]
    origins = [origin for _, origin in found]
    dates = sorted(origin.finished[:10] for origin in origins)
    return {
        "commands": list(commands),
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "written_at": git_revision(),
        "measured": {"first": dates[0], "last": dates[-1]} if dates else None,
        "revisions": dict(Counter(origin.revision for origin in origins).most_common()),
        "data": _values(((cell.axes["data"], origin.fingerprint) for cell, origin in found)),
        "readout": _values(((cell.axes["model"], origin.readout) for cell, origin in found)),
        "devices": dict(Counter(origin.device for origin in origins).most_common()),
        "versions": _values(pair for origin in origins for pair in origin.versions.items()),
    }


def _values(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """Every distinct value of each name, in the order of the cells."""
    values: dict[str, dict[str, None]] = {}
    for name, value in pairs:
        values.setdefault(str(name), {})[value] = None
    return {name: list(those) for name, those in sorted(values.items())}


def write_provenance(table: Path, facts: Provenance) -> None:
    """Write or renew the provenance beside `table`, with the hash of every .csv of that name.

    Lines of the other formats stay, since one file serves them all.
    """
    path = provenance_path(table)
    earlier = json.loads(path.read_text(encoding="utf-8")).get("commands", []) if path.is_file() else []
    kept = [line for line in earlier if "topiclab.report" in line and table.name not in line]
    write_json(path, {**facts, "commands": [*facts["commands"], *kept], "sha256": sheet_hashes(table)})


def sheet_hashes(table: Path) -> dict[str, str]:
    """sha256 of the .csv of a table by its name; {} if it has none."""
    sheet = table.with_suffix(".csv")
    return {sheet.name: hashlib.sha256(sheet.read_bytes()).hexdigest()} if sheet.is_file() else {}


def shown_revision(revision: str) -> str:
    """The first letters of a commit; says so where the code had uncommitted changes."""
    clean = revision.removesuffix(DIRTY)
    return clean[:SHOWN] + (" with uncommitted changes" if clean != revision else "")


def footer(facts: Provenance, metrics: Sequence[str]) -> list[str]:
    """Lines under a table: where its cells come from, in what they differ, and the read-out of its words.

    facts: of `provenance`.  metrics: columns of the table.
    """
    revisions, dates = facts["revisions"], facts["measured"]
    if not revisions or dates is None:
        return []
    days = dates["last"] if dates["first"] == dates["last"] else f"{dates['first']} to {dates['last']}"
    commits = " and ".join(map(shown_revision, revisions))
    data = ", ".join(
        f"{name} {' and '.join(each[:SHOWN] for each in prints)}" for name, prints in facts["data"].items()
    )
    lines = [f"Measured at {commits}, {days}, {sum(revisions.values())} cells; data: {data}."]
    if len(revisions) > 1:
        counts = ", ".join(f"{shown_revision(name)} ({count})" for name, count in revisions.items())
        lines.append(f"Cells of {len(revisions)} revisions of the code: {counts}.")
    for name, prints in facts["data"].items():
        if len(prints) > 1:
            lines.append(f"Cells of {len(prints)} versions of the corpus {name}.")
    own = [name for name in metrics if name in OWN_READOUT]
    if own:
        models = {
            kind: [name for name, kinds in facts["readout"].items() if kind in kinds]
            for kind in ("usage", "beta")
        }
        said = "; ".join(f"{kind} for {', '.join(names)}" for kind, names in models.items() if names)
        lines.append(
            f"Read-out of {', '.join(own)}: each model's own ({said}). npmi_usage, td_usage, npmi_beta and "
            "td_beta are of one for all."
        )
    return lines
