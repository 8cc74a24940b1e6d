"""Adoption: provenance of results that were kept before tables wrote their own, from what git knows."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

from topiclab.atomic import write_json
from topiclab.report.age.rows import command_of
from topiclab.report.age.tables import result_files
from topiclab.report.age.tree import Checkout
from topiclab.report.tables.places import config_name, find_grid, find_table
from topiclab.report.tables.plan import read_table
from topiclab.report.tables.provenance import provenance_path, sheet_hashes

NOTE = (
    "Written after the fact from git: commits, data, versions and devices of the cells are unknown. "
    "`committed` is the commit that last changed the numbers of each file; the cells are not younger."
)


def adopt(root: Path) -> list[Path]:
    """Write the provenance of every result in experiments/ that has none; return the paths.

    Raises ValueError for a result that no commit holds.
    """
    experiments, checkout = root / "experiments", Checkout(root)
    beside: dict[Path, list[Path]] = {}
    for path in result_files(experiments):
        beside.setdefault(provenance_path(path), []).append(path)
    missing = {kept: paths for kept, paths in beside.items() if not kept.is_file()}
    for kept, paths in missing.items():
        written = {path.name: last_writing(checkout, path.relative_to(root).as_posix()) for path in paths}
        facts = {
            "commands": commands_of(root, paths),
            "written": None,
            "written_at": None,
            "measured": None,
            "committed": {name: {"revision": commit, "date": day} for name, (commit, day) in written.items()},
            "note": NOTE,
            "revisions": {},
            **{name: {} for name in ("data", "readout", "devices", "versions")},
            "sha256": sheet_hashes(paths[0]),
        }
        write_json(kept, facts)
    return list(missing)


def last_writing(checkout: Checkout, path: str) -> tuple[str, str]:
    """Commit and day that last changed the numbers of a file; a move or other wording is no change."""
    log = checkout.git("log", "--follow", "--format=%x01%H %cs", "--name-only", "--", path)
    commits = [entry.split() for entry in log.split("\x01")[1:]]
    if not commits:
        raise ValueError(f"{path} is in no commit; commit it, or make it again by its make target")
    numbers = [_numbers(checkout, commit, place) for commit, _, place in commits]
    younger = enumerate(pairwise(numbers))
    number = next((number for number, (own, older) in younger if own != older), len(commits) - 1)
    return commits[number][0], commits[number][1]


def _numbers(checkout: Checkout, commit: str, path: str) -> str | list[str]:
    """Numbers in a text, or the hash of a sheet or picture."""
    name = f"{commit}:{path}"
    return (
        re.findall(r"\d+", checkout.git("show", name))
        if path.endswith(".md")
        else checkout.git("rev-parse", name)
    )


def commands_of(root: Path, paths: list[Path]) -> list[str]:
    """Lines that make the cells of a result: its grids, or those that its text or make target holds."""
    experiments = root / "experiments"
    place = paths[0].relative_to(experiments).with_suffix("").as_posix()
    if find_table(experiments, place) or find_grid(experiments, place):
        grids = (config_name(experiments, grid) for grid in read_table(experiments, place).grids)
        styles = {".csv": " --format csv", ".md": ""}
        written = [
            f"python -m topiclab.report {place}{styles[path.suffix]} --out {path.name}"
            for path in paths
            if path.suffix in styles
        ]
        return [*(f"python -m topiclab -cd experiments -cn {grid}" for grid in grids), *written]
    texts = [path.read_text(encoding="utf-8") for path in paths if path.suffix == ".md"]
    target = command_of(experiments, place)
    if target and target.startswith("make "):
        dry = ["make", "--dry-run", "--always-make", "--directory", str(root), *target.split()[1:]]
        texts.append(subprocess.run(dry, capture_output=True, text=True, check=True).stdout)
    lines = (line.strip() for text in texts for line in text.replace("\\\n", " ").splitlines())
    found = (re.search(r"python (-m topiclab[ .].*)", line) for line in lines)
    return [f"python {' '.join(match[1].split())}" for match in found if match]
