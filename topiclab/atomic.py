"""Files that are either whole or absent: written under another name, onto the disk, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """The path of a new file, for a writer that opens it itself; it becomes `path` when the block ends well.

    Nothing stays behind when the block raises; a kill leaves `<name>.<process id>.tmp`.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield partial
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())  # or the name could outlive the content in a crash of the machine
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when the block ends well; nothing stays behind otherwise."""
    with atomic_path(path) as partial, partial.open("wb") as stream:
        yield stream
