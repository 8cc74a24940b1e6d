"""Files that a task has read: the sources tell of them, and the run's result records what they held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Read:
    """A file or folder that was read.  below: the part of it inside paths.data, None if it lies elsewhere."""

    path: Path
    below: str | None = None


Reads = dict[Read, tuple[int, int]]  # with size in bytes and mtime_ns when it was first read; in this order
_listeners: list[Reads] = []


@contextmanager
def noted_reads() -> Iterator[Reads]:
    """Yield what sources read meanwhile, also what they read before and kept in memory."""
    found: Reads = {}
    _listeners.append(found)
    try:
        yield found
    finally:
        _listeners.remove(found)


def note_reads(paths: Iterable[Path], below: Path | None = None) -> None:
    """Tell that these files or folders are read; below: paths.data, if they were looked for there."""
    for path in paths:
        if not path.exists():
            continue
        read = Read(path, None if below is None else path.relative_to(below).as_posix())
        stat = path.stat()
        for found in _listeners:
            found.setdefault(read, (stat.st_size, stat.st_mtime_ns))
