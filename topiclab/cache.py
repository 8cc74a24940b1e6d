"""Cache entries shared between runs: `<root>/<kind>/<sha256 of the key>/`, computed once, published whole."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from topiclab.atomic import atomic_file, finite
from topiclab.digest import fault_of, is_sealed, seal, sha256_once

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
Key = Mapping[str, Any]  # all that an entry depends on, as plain JSON
# Versions of the algorithms behind the kinds of entries. Raise one when the same key would now give other
# content: entries of earlier versions are then not found. Version 1 adds nothing to the key.
VERSIONS = {
    "adapter": 1,
    "arxiv": 1,
    "clusterings": 1,
    "codebooks": 1,
    "cooccurrence": 1,
    "embedding_shards": 1,
    "embeddings": 1,
    "images": 1,
    "layouts": 1,
    "neighbours": 1,
    "ngrams": 1,
    "occurrence_codes": 1,
    "occurrences": 1,
    "soft_labels": 1,
    "starts": 1,
    "tokenizers": 1,
    "tokens": 1,
}


@dataclass(frozen=True)
class Entry:
    """One published entry: its folder, its manifest, and whether it already existed."""

    folder: Path
    manifest: dict[str, Any]
    is_cached: bool

    def arrays(self) -> dict[str, np.ndarray]:
        """Every `.npy` file of the entry by its stem, memory-mapped and read-only.

        Raises ValueError with the path of a file that cannot be read.
        """
        return {path.stem: self._array(path) for path in sorted(self.folder.glob("*.npy"))}

    @staticmethod
    def _array(path: Path) -> np.ndarray:
        try:
            return load_array(path)
        except Exception as fault:  # numpy raises what its parser meets
            raise ValueError(
                f"cache entry {path.parent}: {path.name} cannot be read ({fault}); remove that folder"
            ) from fault


@dataclass(frozen=True)
class Cache:
    """A folder of entries that processes may fill at the same time.

    The lock is held only while an entry is computed; readers take none. Every file is compared with its
    sha256 when a process first opens it, so that writes, truncations and flipped bits are all noticed: 23 ms
    for the vectors of 20,000 documents, and nothing for the next cell in the same process.
    """

    root: Path

    def folder(self, kind: str, key: Key) -> Path:
        """Folder of the entry of this key, whether or not it exists."""
        return self.root / kind / key_hash(versioned(kind, key))

    def read(self, kind: str, key: Key) -> Entry | None:
        """The published, intact entry of this key, or None."""
        return _read(self.folder(kind, key), logging.DEBUG)

    def entry(
        self,
        kind: str,
        key: Key,
        fill: Callable[[Path], Mapping[str, Any] | None],
        *,
        is_resumable: bool = False,
    ) -> Entry:
        """The entry of this key; if missing, `fill(folder)` writes its files and returns manifest facts.

        One process fills; others wait for it, then read. A fill that fails or is interrupted publishes
        nothing; with is_resumable its folder is kept and the next fill finds the finished files there.
        """
        entry = self.read(kind, key)
        if entry is not None:
            return entry
        with _locked(self._lock(kind, key)):
            return self._filled(kind, key, fill, is_resumable)

    def free_entry(
        self, kind: str, key: Key, fill: Callable[[Path], Mapping[str, Any] | None]
    ) -> Entry | None:
        """`entry`, or None immediately if another process is filling it."""
        entry = self.read(kind, key)
        if entry is not None:
            return entry
        try:
            with self._lock(kind, key).acquire(timeout=0):
                return self._filled(kind, key, fill, is_resumable=False)
        except Timeout:
            return None

    def _lock(self, kind: str, key: Key) -> FileLock:
        folder = self.folder(kind, key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(folder.with_name(folder.name + ".lock"))

    def _filled(self, kind: str, key: Key, fill: Callable, is_resumable: bool) -> Entry:
        """The entry, with its lock held; another process may have filled it in the meantime."""
        folder = self.folder(kind, key)
        entry = _read(folder, logging.WARNING)
        return entry if entry is not None else _publish(folder, key, fill, is_resumable)

    def array_entry(self, kind: str, key: Key, compute: Callable[[], Mapping[str, np.ndarray]]) -> Entry:
        """The entry of this key whose files are the arrays `compute` returns."""

        def fill(folder: Path) -> None:
            for name, array in compute().items():
                save_array(folder / f"{name}.npy", array)

        return self.entry(kind, key, fill)


def cached_arrays(
    root: Path | None, kind: str, key: Key, compute: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays of `compute`, run once per key (every time if root is None), memory-mapped read-only."""
    if root is None:
        return dict(compute())

    return Cache(Path(root)).array_entry(kind, key, compute).arrays()


def canonical_json(key: Key) -> str:
    """One JSON text per key, whatever the order of its items; TypeError or ValueError if not plain JSON."""
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_hash(key: Key) -> str:
    """sha256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(key).encode()).hexdigest()


def versioned(kind: str, key: Key) -> Key:
    """The key, with the version of the kind's algorithm if it is not the first; kind may go on after a /."""
    version = VERSIONS.get(kind.partition("/")[0], 1)
    return key if version == 1 else {**key, "kind_version": version}


def load_array(path: Path) -> np.ndarray:
    """A `.npy` file, memory-mapped read-only; pickled objects are refused (ValueError)."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a `.npy` file that is either whole or absent, also after a crash."""
    with atomic_file(path) as stream:
        # numpy writes a real file by C's fwrite, whose error on a full disk has no errno
        writer: Any = SimpleNamespace(write=stream.write)
        np.lib.format.write_array(writer, np.asarray(array, order="C"), allow_pickle=False)


def _read(folder: Path, log_level: int) -> Entry | None:
    if not folder.is_dir():
        return None
    try:
        return Entry(folder, _verified_manifest(folder), is_cached=True)
    except Exception as fault:  # whatever it is, it is this entry's and computing it again mends it
        log.log(log_level, "cache entry %s is damaged (%s); computing it again", folder, fault)
        return None


def _publish(folder: Path, key: Key, fill: Callable, is_resumable: bool) -> Entry:
    partial = folder.with_name(folder.name + ".partial")
    if not is_resumable:
        shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(exist_ok=True)
    started = time.perf_counter()
    try:
        facts = fill(partial) or {}
        _remove_leftovers(partial)
        manifest = {
            "inputs": dict(key),
            **facts,
            "seconds": round(time.perf_counter() - started, 3),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "files": {path.name: _file_facts(path) for path in sorted(partial.iterdir())},
        }
        with atomic_file(partial / MANIFEST) as stream:
            stream.write(
                json.dumps(seal(finite(manifest)), indent=1, sort_keys=True, allow_nan=False).encode()
            )
        shutil.rmtree(folder, ignore_errors=True)  # a damaged entry
        partial.rename(folder)
    except BaseException:
        if not is_resumable:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    return Entry(folder, manifest, is_cached=False)


def _remove_leftovers(partial: Path) -> None:
    """Remove files that a killed writer left half-written, and the manifest of an unfinished publication."""
    for path in [*partial.glob("*.tmp"), partial / MANIFEST]:
        path.unlink(missing_ok=True)


def _file_facts(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"bytes": stat.st_size, "sha256": sha256_once(path), "mtime_ns": stat.st_mtime_ns}


def _verified_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an intact entry; the ValueError for a damaged one names the file."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    if not is_sealed(manifest):
        raise ValueError(f"{MANIFEST} does not match its checksum")
    for name, facts in manifest["files"].items():
        if fault := fault_of(folder / name, facts):
            raise ValueError(f"{name} {fault}")
    return manifest


@contextmanager
def _locked(lock: FileLock) -> Iterator[None]:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that is computing %s", Path(lock.lock_file).with_suffix(""))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
