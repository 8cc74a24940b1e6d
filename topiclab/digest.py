"""Digests of files and of JSON: a changed byte is noticed before anything is read from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

BLOCK_BYTES = 1 << 20
SEAL = "checksum"  # key of a JSON file that holds the digest of all its other keys
_known: dict[tuple[int, ...], str] = {}


class FileFacts(TypedDict):
    """Size and sha256 of a file."""

    bytes: int
    sha256: str


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    digest, block = hashlib.sha256(), bytearray(BLOCK_BYTES)
    view = memoryview(block)
    with path.open("rb", buffering=0) as stream:
        while length := stream.readinto(block):
            digest.update(view[:length])
    return digest.hexdigest()


def sha256_once(path: Path) -> str:
    """`file_sha256`, read once by a process as long as the file keeps its size and times, under any name."""
    stat = path.stat()
    state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if state not in _known:
        _known[state] = file_sha256(path)
    return _known[state]


def fault_of(path: Path, recorded: FileFacts) -> str | None:
    """Return how a file differs from its recorded bytes and sha256; None if it is intact."""
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != recorded["bytes"]:
        return f"has {size} bytes instead of {recorded['bytes']}"
    if sha256_once(path) != recorded["sha256"]:
        return "does not match its checksum"
    return None


def file_facts(folder: Path, paths: Iterable[Path]) -> dict[str, FileFacts]:
    """Bytes and sha256 of the files, by their path inside the folder."""
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_once(path)}
        for path in paths
    }


def faults_in(folder: Path, recorded: Mapping[str, FileFacts]) -> Iterator[str]:
    """'<path> is missing' or the like for every recorded file that is not as it was."""
    for name, facts in recorded.items():
        if fault := fault_of(folder / name, facts):
            yield f"{folder / name} {fault}"


def seal(content: Mapping[str, object]) -> dict[str, object]:
    """The content with the digest of all of it under SEAL; ValueError where a number is not finite."""
    plain = json.loads(json.dumps({name: content[name] for name in content if name != SEAL}, allow_nan=False))
    return {**plain, SEAL: _json_sha256(plain)}


def is_sealed(content: Mapping[str, object]) -> bool:
    """True if the content is what `seal` made, or has no seal since an earlier version wrote it."""
    kept = content.get(SEAL)
    return kept is None or kept == _json_sha256({name: content[name] for name in content if name != SEAL})


def _json_sha256(content: Mapping[str, object]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
