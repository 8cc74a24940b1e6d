"""Files that are either whole or absent: written under another name, flushed to disk, then renamed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path for a writer that opens the file itself; it becomes `path` when the block succeeds.

    Nothing is left behind if the block raises; a kill leaves `<name>.<process id>.tmp`.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield partial
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())  # or the name could outlive the content if the machine crashes
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that gets its name only if the block succeeds; else nothing is left behind."""
    with atomic_path(path) as partial, partial.open("wb") as stream:
        yield stream


def finite(value: Any) -> Any:
    """The value with None for every number in it that is not finite, which JSON cannot hold."""
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a mapping as JSON; ValueError where a number is not finite."""
    with atomic_file(path) as stream:
        stream.write(json.dumps(content, indent=1, allow_nan=False).encode())
