"""Cache entries: computed once, published whole or not at all, damage found."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from places import REPO

from topiclab import cache, digest
from topiclab.cache import Cache, cached_arrays, canonical_json, key_hash
from topiclab.digest import file_sha256

KEY = {"texts": "abc", "embedder": {"dim": 3}}


def arrays() -> dict[str, np.ndarray]:
    return {"a": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 4), np.float32), "scalar": np.array(2)}


def refuse() -> dict[str, np.ndarray]:
    raise AssertionError("computed again")


def leftovers(root: Path) -> list[str]:
    """List everything but lock files."""
    return [str(path) for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]


def python(code: str, *args: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    command = [sys.executable, "-c", code, *args]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, cwd=REPO)


def test_second_call_reads_memory_mapped_copies(tmp_path: Path) -> None:
    cached_arrays(tmp_path, "kind", KEY, arrays)
    again = cached_arrays(tmp_path, "kind", KEY, refuse)
    assert isinstance(again["a"], np.memmap)
    for name, array in arrays().items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].shape == array.shape
    with pytest.raises(ValueError, match="read-only"):
        again["a"][0, 0] = 1


def test_key_is_canonical_json() -> None:
    assert key_hash({"a": 1, "b": 2}) == key_hash({"b": 2, "a": 1})
    assert key_hash({"a": 1}) != key_hash({"a": 2})
    assert canonical_json({"b": [1, None], "a": "ä"}) == '{"a":"\\u00e4","b":[1,null]}'
    with pytest.raises(TypeError):
        key_hash({"path": Path()})
    with pytest.raises(ValueError, match="JSON"):
        key_hash({"nan": float("nan")})


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "manifest"])
def test_damage_is_logged_and_computed_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cached_arrays(tmp_path, "kind", KEY, arrays)
    path = Cache(tmp_path).folder("kind", KEY) / ("manifest.json" if damage == "manifest" else "a.npy")
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[-1] ^= 0xFF
        path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    with caplog.at_level(logging.WARNING):
        again = cached_arrays(tmp_path, "kind", KEY, arrays)
    np.testing.assert_array_equal(again["a"], arrays()["a"])
    assert [record.message for record in caplog.records if "damaged" in record.message]
    cached_arrays(tmp_path, "kind", KEY, refuse)


def test_files_are_hashed_once_by_a_process_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return file_sha256(path)

    cached_arrays(tmp_path, "kind", KEY, arrays)
    files = sorted(Cache(tmp_path).folder("kind", KEY).glob("*.npy"))
    monkeypatch.setattr(digest, "file_sha256", counted)
    for path in files:
        os.utime(path)
    cached_arrays(tmp_path, "kind", KEY, refuse)
    cached_arrays(tmp_path, "kind", KEY, refuse)
    assert sorted(hashed) == files


def test_a_bit_that_flips_without_a_new_time_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cached_arrays(tmp_path, "kind", KEY, arrays)
    for name in ("a.npy", "manifest.json"):
        path = Cache(tmp_path).folder("kind", KEY) / name
        stat, content = path.stat(), bytearray(path.read_bytes())
        content[content.rindex(b"3") if name == "manifest.json" else -1] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        caplog.clear()
        np.testing.assert_array_equal(cached_arrays(tmp_path, "kind", KEY, arrays)["a"], arrays()["a"])
        assert f"{name} does not match its checksum" in caplog.text


def test_a_kind_of_version_one_keeps_its_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cache(tmp_path).folder("starts", KEY).name == key_hash(KEY)
    monkeypatch.setitem(cache.VERSIONS, "starts", 2)
    assert Cache(tmp_path).folder("starts", KEY).name != key_hash(KEY)
    assert Cache(tmp_path).folder("starts/part", KEY) != Cache(tmp_path).folder("tokens/part", KEY)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted_write_leaves_nothing(
    tmp_path: Path, fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def write_array(stream, array, **_) -> None:
        written.append(stream.write(b"half"))
        if len(written) == 2:
            raise fault

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", write_array)
        with pytest.raises(type(fault)):
            cached_arrays(tmp_path, "kind", KEY, arrays)
    assert leftovers(tmp_path) == []
    np.testing.assert_array_equal(cached_arrays(tmp_path, "kind", KEY, arrays)["a"], arrays()["a"])


def test_resumable_fill_keeps_whole_files_only(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        if not (folder / "one.npy").exists():
            cache.save_array(folder / "one.npy", np.ones(2))
            (folder / "two.npy.123.tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        cache.save_array(folder / "two.npy", np.zeros(2))

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).entry("kind", KEY, fill, is_resumable=True)
    assert not Cache(tmp_path).folder("kind", KEY).exists()
    entry = Cache(tmp_path).entry("kind", KEY, fill, is_resumable=True)
    assert sorted(entry.manifest["files"]) == ["one.npy", "two.npy"]
    assert not entry.is_cached
    assert Cache(tmp_path).entry("kind", KEY, fill, is_resumable=True).is_cached


def test_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        cached_arrays(tmp_path, "kind", KEY, lambda: {"a": np.array([{}], dtype=object)})
    assert leftovers(tmp_path) == []


RACER = """
import sys, time, numpy as np
from pathlib import Path
from topiclab.cache import cached_arrays
root = Path(sys.argv[1])
def compute():
    (root / f"computed-{time.time_ns()}").touch()
    time.sleep(0.5)
    return {"a": np.ones(3)}
print(cached_arrays(root, "kind", {"k": 1}, compute)["a"].sum())
"""


def test_racing_processes_compute_once(tmp_path: Path) -> None:
    racers = [python(RACER, str(tmp_path)) for _ in range(2)]
    assert [racer.communicate(timeout=120)[0].strip() for racer in racers] == ["3.0", "3.0"]
    assert len(list(tmp_path.glob("computed-*"))) == 1


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    killed = python(RACER.replace("time.sleep(0.5)", "time.sleep(600)"), str(tmp_path))
    while not list(tmp_path.glob("computed-*")):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert cached_arrays(tmp_path, "kind", {"k": 1}, lambda: {"a": np.zeros(1)})["a"].sum() == 0
