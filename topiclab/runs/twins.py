"""Twins: cells of a sweep that share one fit, since they differ only in what they do not read."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from topiclab.atomic import write_json
from topiclab.config.declared import unread
from topiclab.config.identity import config_hash, read_values
from topiclab.config.rules import flatten
from topiclab.digest import seal
from topiclab.runs.cell import Cell
from topiclab.runs.files import NOT_OF_RESULT
from topiclab.runs.outcome import Finished
from topiclab.runs.run import hold, read_result, write_failure

log = logging.getLogger("topiclab.runs.sweeper")


def twins_of(cells: Sequence[Cell]) -> dict[Path, Cell]:
    """Folder of a cell that need not be fitted -> the cell whose fit it shares, finished or the first."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(json.dumps(read_values(cell.cfg), sort_keys=True), []).append(cell)
    found: dict[Path, Cell] = {}
    for same in groups.values():
        fitted = next((cell for cell in same if cell.is_reused), same[0])
        found |= {cell.folder: fitted for cell in same if cell is not fitted and not cell.is_reused}
    return found


def fill(cell: Cell, fitted: Cell) -> None:
    """Copy the finished fit into the folder of its twin; if it failed, so has the twin.

    Does nothing if the fit did not end: the same line runs it.
    """
    path = fitted.folder / "result.json"
    if not path.is_file():
        return
    cell.folder.mkdir(parents=True, exist_ok=True)
    result = read_result(path)
    if result["status"] != "done":
        reason = f"{reason_of(cell, fitted)}; it failed: {result['reason']}"
        write_failure(cell.cfg, cell.folder, reason, 0.0)
        return
    with hold(cell.folder):
        try:
            _copy(result, cell, fitted)
        except OSError as fault:  # a full disk: there may be room for other twins
            log.warning("%s not copied to %s: %s", fitted.folder, cell.folder, fault)


def _copy(result: Finished, cell: Cell, fitted: Cell) -> None:
    """Copy the files, and last the result, which names the run that it is a copy of."""
    result_file = cell.folder / "result.json"
    result_file.unlink(missing_ok=True)  # why an earlier attempt failed
    ignored = shutil.ignore_patterns(*NOT_OF_RESULT)
    shutil.copytree(fitted.folder, cell.folder, ignore=ignored, dirs_exist_ok=True)
    config = {key: value for key, value in cell.cfg.items() if key != "rerun"}
    own = {"config": config, "config_hash": config_hash(cell.cfg)}
    copied = {"manifest": {**result["manifest"], "copy_of": str(fitted.folder)}}
    write_json(result_file, seal({**result, **own, **copied}))


def reason_of(cell: Cell, fitted: Cell) -> str:
    """The reason that the cell is not fitted itself."""
    ours, theirs = dict(flatten(cell.cfg)), dict(flatten(fitted.cfg))
    differing = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    reasons = {
        reason: None
        for part, reason in unread(cell.cfg).items()
        if any(f"{key}.".startswith(f"{part}.") for key in differing)
    }
    return f"the same fit as {fitted.folder}: {'; '.join(reasons)}"
