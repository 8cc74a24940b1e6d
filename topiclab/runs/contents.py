"""Content of input files and folders: recorded with a result, compared before the result is reused."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from topiclab.atomic import write_json
from topiclab.digest import is_sealed, seal, sha256_once

log = logging.getLogger(__name__)

MAX_MEMBERS = 200  # files of a folder that a result lists one by one
KEPT_BYTES = 1 << 20  # a smaller file is hashed faster than its digest is found
FRESH_NS = 2_000_000_000  # a file this young may change again within the clock's resolution
ITSELF = ""  # the name of a file among its members
Stamp = tuple[int, int]  # size in bytes, mtime_ns
Members = dict[str, tuple[int, int, str]]  # by path inside the folder: bytes, mtime_ns, sha256


class Held(TypedDict):
    """Size, time of the last change (of the newest file) and sha256 of a file, or of all files of a folder.

    sha256 is None for a file that changed after it was read.
    """

    bytes: int
    mtime_ns: int
    sha256: str | None


class Content(Held, total=False):
    """Content of a path.  files, stamps: of a folder, their number and a digest of their sizes and times.

    members: each of these files, if they are few.
    """

    files: int
    stamps: str
    members: Members


class Input(Content):
    """Content at a path that a run read.  key: that named it, or `data`.  below: its place in paths.data."""

    key: str
    below: str | None


def content_of(path: Path, kept: Path) -> Content:
    """Bytes, mtime_ns and sha256 of a file; for a folder, the number of files and what they are together.

    kept: folder of digests that other runs found; a file of this size and time is not read again.
    """
    members = _members(path, kept)
    if not path.is_dir():
        size, mtime_ns, sha256 = members[ITSELF]
        return {"bytes": size, "mtime_ns": mtime_ns, "sha256": sha256}
    facts: Content = {
        "files": len(members),
        "bytes": sum(size for size, *_ in members.values()),
        "mtime_ns": max((mtime_ns for _, mtime_ns, _ in members.values()), default=0),
        "stamps": _listing({name: f"{size} {mtime_ns}" for name, (size, mtime_ns, _) in members.items()}),
        "sha256": _sha256_of(members),
    }
    if len(members) <= MAX_MEMBERS:
        facts["members"] = members
    return facts


def difference(path: Path, recorded: Content, kept: Path) -> str | None:
    """Return what has changed at path since its content was recorded; None if nothing, or if it is gone.

    Equal sizes and times are taken for equal content; otherwise digests decide.
    """
    if not path.exists():
        return None
    if path.is_dir() != ("files" in recorded):
        return "has become a folder" if path.is_dir() else "has become a file"
    stamps = dict(_stamps(path))
    if path.is_dir():
        listing = _listing({name: f"{size} {mtime_ns}" for name, (size, mtime_ns) in stamps.items()})
        if listing == recorded.get("stamps"):
            return None
        members = _members(path, kept)
        return None if _sha256_of(members) == recorded["sha256"] else _changed_member(members, recorded)
    size, mtime_ns = stamps[ITSELF]
    if (size, mtime_ns) == (recorded["bytes"], recorded["mtime_ns"]):
        return None
    if size != recorded["bytes"]:
        return f"has changed from {recorded['bytes']:,} to {size:,} bytes ({_date(mtime_ns)})"
    if _members(path, kept)[ITSELF][2] == recorded["sha256"]:
        return None
    return f"has changed ({_date(mtime_ns)})"


def _changed_member(members: Members, recorded: Content) -> str:
    """Name the first file that differs, or count where the files were not listed one by one."""
    if "members" not in recorded:
        size = sum(size for size, *_ in members.values())
        before = f"{recorded.get('files')} files of {recorded['bytes']:,} bytes"
        return f"has changed from {before} to {len(members)} of {size:,}"
    before = {name: member[2] for name, member in recorded["members"].items()}
    after = {name: member[2] for name, member in members.items()}
    first, *others = sorted(name for name in before | after if before.get(name) != after.get(name))
    state = "was added" if first not in before else "is gone" if first not in after else "differs"
    return f"has changed: {first} {state}" + (f", and so with {len(others)} more files" if others else "")


def _date(mtime_ns: int) -> str:
    return f"written {datetime.fromtimestamp(mtime_ns / 1e9):%Y-%m-%d %H:%M:%S}"


def _stamps(path: Path) -> Iterator[tuple[str, Stamp]]:
    """Size and time of a file, or of every file below a folder in order; hidden ones are left out."""
    if not path.is_dir():
        stat = path.stat()
        yield ITSELF, (stat.st_size, stat.st_mtime_ns)
        return
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and file.is_file():
                stat = file.stat()
                yield file.relative_to(path).as_posix(), (stat.st_size, stat.st_mtime_ns)


def _members(path: Path, kept: Path) -> Members:
    """The files at path with their digests, of which those already kept are not read again."""
    store = kept / f"{hashlib.sha256(str(path.absolute()).encode('utf-8', 'surrogatepass')).hexdigest()}.json"
    stamps = dict(_stamps(path))
    is_large = sum(size for size, _ in stamps.values()) >= KEPT_BYTES
    known = _read_kept(store) if is_large else {}
    found: Members = {}
    for name, stamp in stamps.items():
        before = known.get(name)
        is_known = before is not None and tuple(before[:2]) == stamp
        sha256 = before[2] if before is not None and is_known else sha256_once(path / name)
        found[name] = (*stamp, sha256)
    if is_large and known != (settled := _settled(found)):
        _keep(store, path, settled)
    return found


def _settled(members: Members) -> dict[str, list[Any]]:
    """The members that were written long enough ago that a later write must give them another time."""
    newest = time.time_ns() - FRESH_NS
    return {name: list(member) for name, member in members.items() if member[1] < newest}


def _read_kept(store: Path) -> dict[str, list[Any]]:
    """The kept digests; none if they cannot be read: hashing again costs time only."""
    try:
        kept = json.loads(store.read_bytes())
        return kept["files"] if is_sealed(kept) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep(store: Path, path: Path, members: Mapping[str, list[Any]]) -> None:
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        write_json(store, seal({"path": str(path.absolute()), "files": members}))
    except (OSError, UnicodeError) as fault:  # a full or read-only disk: the file is hashed again next time
        log.debug("the digests of %s are not kept: %s", path, fault)


def _sha256_of(members: Members) -> str:
    return _listing({name: sha256 for name, (*_, sha256) in members.items()})


def _listing(entries: Mapping[str, str]) -> str:
    """sha256 over the names and what is said of each."""
    text = "".join(f"{entry} {name}\n" for name, entry in sorted(entries.items()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
