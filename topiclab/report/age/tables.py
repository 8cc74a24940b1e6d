"""Tables: results in experiments/ with their provenance, and how old they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from topiclab.report.age.changes import Changes
from topiclab.report.tables.provenance import DIRTY, SUFFIX, provenance_path

KINDS = (".csv", ".md", ".png")
SHORT = 7  # letters of a commit
MAX_NAMED = 8  # changed files of a table that are named; --all names the rest, too


@dataclass(frozen=True)
class Measured:
    """Provenance of a result, as far as its age depends on it.

    name: path from experiments/ without its ending.  commits: of the cells, or (is_adopted) those that last
    wrote its files.  is_dirty: the code of some cell had changes that no commit has.  days: first and last.
    """

    name: str
    commits: tuple[str, ...]
    first: str
    last: str
    commands: tuple[str, ...]
    is_adopted: bool
    is_dirty: bool

    def shown(self) -> str:
        """Commit and day in a few words."""
        commits = " and ".join(commit[:SHORT] for commit in self.commits) or "an unknown commit"
        days = self.last if self.first == self.last else f"{self.first} to {self.last}"
        return f"{'before ' if self.is_adopted else ''}{commits}, {days}"


def result_files(experiments: Path) -> list[Path]:
    """Results in the folders of the systems; published numbers (reference.csv) are none."""
    paths = (path for kind in KINDS for path in experiments.glob(f"*/*{kind}"))
    return sorted(path for path in paths if path.stem != "reference")


def read_measured(experiments: Path, path: Path) -> Measured | None:
    """Provenance of a result; None if there is none."""
    kept = provenance_path(path)
    if not kept.is_file():
        return None
    facts = json.loads(kept.read_text(encoding="utf-8"))
    revisions = [name for name in facts["revisions"] if name != "unknown"]
    written = facts.get("committed") or {}
    days = [entry["date"] for entry in written.values()] or list((facts["measured"] or {}).values())
    commits = [entry["revision"] for entry in written.values()] or revisions
    return Measured(
        name=kept.relative_to(experiments).as_posix().removesuffix(SUFFIX),
        commits=tuple(dict.fromkeys(commit.removesuffix(DIRTY) for commit in commits)),
        first=min(days, default="unknown"),
        last=max(days, default="unknown"),
        commands=tuple(facts["commands"]),
        is_adopted=bool(written),
        is_dirty=any(name.endswith(DIRTY) for name in revisions),
    )


@dataclass(frozen=True)
class Age:
    """A result and what changed since: changed: files.  missing: commits that the clone lacks."""

    measured: Measured
    changed: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_old(self) -> bool:
        return bool(self.changed or self.missing or self.measured.is_dirty or not self.measured.commits)

    def lines(self, today: date, *, names_all: bool = False) -> Iterator[str]:
        """Lines for a reader."""
        measured = self.measured
        days = (
            ""
            if measured.last == "unknown"
            else f" ({(today - date.fromisoformat(measured.last)).days} days)"
        )
        yield measured.name
        yield f"  measured at: {measured.shown()}{days}"
        if measured.is_dirty:
            yield "  measured with changes that no commit has"
        for commit in self.missing:
            yield f"  commit {commit[:SHORT]} is not in this clone (shallow?): git fetch --unshallow"
        shown = [path.removeprefix("topiclab/") for path in self.changed]
        if shown:
            few = shown if names_all else shown[:MAX_NAMED]
            rest = ", ..." if len(few) < len(shown) else ""
            number = f"{len(shown)} file{'s' if len(shown) > 1 else ''}"
            yield f"  changed since: {', '.join(few)}{rest} ({number})"
        elif not self.missing:
            yield "  unchanged since"


def age_of(measured: Measured, changes: Changes) -> Age:
    """Age of a result; a file counts once it changed since any of the commits."""
    there = [commit for commit in measured.commits if changes.checkout.has(commit)]
    found = {path for commit in there for path in changes.since(commit, measured.commands)}
    missing = tuple(commit for commit in measured.commits if commit not in there)
    return Age(measured, tuple(sorted(found, key=_order)), missing)


def _order(path: str) -> tuple[int, str]:
    """Models first, then what they share, then the rest."""
    parts = path.split("/")
    is_model = parts[:2] == ["topiclab", "models"]
    return (0 if is_model and len(parts) == 3 else 1 if is_model else 2), path
