"""A file that is being written stays the old one, or absent, until it is complete."""

import ast

import numpy as np
import pytest
from places import REPO

from topiclab.atomic import atomic_file, atomic_path, finite


def test_a_file_is_replaced_when_its_writer_ends_well(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with atomic_path(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        assert partial.parent == tmp_path  # a rename between file systems would be a copy
    assert path.read_text() == "new"
    with atomic_file(path) as stream:
        stream.write(b"newer")
        assert path.read_text() == "new"
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def fail_in_a_stream(path):
    with atomic_file(path) as stream:
        stream.write(b"ha")
        raise OSError("no space")


def fail_in_a_path(path):
    with atomic_path(path) as partial:
        partial.write_text("ha")
        raise OSError("no space")


@pytest.mark.parametrize("content", [None, "old"])
def test_a_writer_that_fails_changes_nothing(content, tmp_path):
    path = tmp_path / "result.json"
    if content:
        path.write_text(content)
    for fail in (fail_in_a_stream, fail_in_a_path):
        with pytest.raises(OSError, match="no space"):
            fail(path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == (
        {path.name: content} if content else {}
    )


def test_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "result.json", []
    monkeypatch.setattr("topiclab.atomic.os.fsync", lambda _: synced.append(path.exists()))
    with atomic_file(path) as stream:
        stream.write(b"new")
    assert synced == [False]


def test_numbers_that_are_not_finite_become_null():
    nan, infinite = float("nan"), float("inf")
    found = finite({"a": [1.0, nan, {"b": (infinite, "nan", None)}], "c": np.float64(nan), "d": True})
    assert found == {"a": [1.0, None, {"b": [None, "nan", None]}], "c": None, "d": True}


# Files of the package whose json.dumps makes a message or a key, which no file holds.
NOT_WRITTEN = {"rules", "trust", "identity", "endpoint", "cell", "twins", "corpora", "reference"}


def test_no_file_of_json_can_hold_nan():
    loose = set()
    for path in (REPO / "topiclab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_dump = isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dumps", "json.dump")
            if is_dump and not any(keyword.arg == "allow_nan" for keyword in node.keywords):
                loose.add(path.stem)
    assert loose <= NOT_WRITTEN, f"write these with allow_nan=False: {loose - NOT_WRITTEN}"
