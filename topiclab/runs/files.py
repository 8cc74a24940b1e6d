"""Files of a run folder: those that belong to its result, recorded by digest and checked before use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from topiclab.digest import FileFacts, faults_in, file_facts
from topiclab.runs.outcome import Finished

# Parts of a run folder that belong to it alone, that grow after it ended, or that are of another run.
NOT_OF_RESULT = (
    ".hydra",
    ".lock",
    ".config_hash",
    ".inputs",
    "checkpoints",
    "description",
    "figures",  # of report figures
    "page.html",  # report page renders it anew, from files that are checked
    "result.json",
    "run.log",
    "wandb",
)


def own_files(folder: Path) -> Iterator[Path]:
    """Files of the run in folder, in order; a folder inside with a result.json is of another run."""
    for path in sorted(folder.iterdir()):
        if path.name in NOT_OF_RESULT or path.suffix == ".tmp":
            continue
        if not path.is_dir():
            yield path
        elif not (path / "result.json").is_file():
            yield from own_files(path)


def recorded_files(folder: Path) -> dict[str, FileFacts]:
    """Bytes and sha256 of the run's files, for result.json."""
    return file_facts(folder, own_files(folder))


def damaged_files(result: Finished, folder: Path) -> list[str]:
    """'<path> is missing' or 'does not match its checksum', for files of a finished run.

    Empty for a run of an earlier version, which recorded none.
    """
    return list(faults_in(folder, result.get("files", {})))
