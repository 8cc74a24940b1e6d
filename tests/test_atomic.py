"""A file that is being written stays the old one, or absent, until it is complete."""

import pytest

from topiclab.atomic import atomic_file, atomic_path


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
