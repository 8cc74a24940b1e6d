"""Checkpoints and their digests: damage is noticed, and a kill at any moment leaves a whole one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from topiclab.checkpoint import BEST, LAST, checkpoint_file, load_checkpoint, resumable


def save(path: Path, epoch: int) -> None:
    with checkpoint_file(path) as partial:
        torch.save({"epoch": epoch, "weights": torch.full((50,), float(epoch))}, partial)


@pytest.mark.parametrize("moment", ["before the renaming", "after it"])
def test_a_kill_between_a_checkpoint_and_its_digest_leaves_a_whole_one(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    save(path, 1)
    replace, written = Path.replace, []

    def killed(partial: Path, target: Path) -> None:
        if moment == "before the renaming" and target == path:
            raise KeyboardInterrupt
        replace(partial, target)
        if moment == "after it" and target == path:
            raise KeyboardInterrupt

    for epoch in (2, 3):  # twice, since the second must not forget what the first left
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                save(path, epoch)
        written.append(load_checkpoint(path)["epoch"])
    assert written == ([1, 1] if moment == "before the renaming" else [2, 3])
    save(path, 4)
    assert load_checkpoint(path)["epoch"] == 4
    assert (tmp_path / "last.ckpt.sha256").read_text().endswith("  last.ckpt\n")


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save(path, 1)
    whole = path.read_bytes()
    for place in range(0, len(whole), 41):  # also headers and padding of the archive
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
            load_checkpoint(path)
    path.write_bytes(whole)
    digests = bytearray((tmp_path / "last.ckpt.sha256").read_bytes())
    digests[5] ^= 1
    (tmp_path / "last.ckpt.sha256").write_bytes(digests)
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
        load_checkpoint(path)


def test_the_newest_good_checkpoint_is_resumed_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (tmp_path / "run").mkdir()
        for epoch, name in ((1, BEST), (2, LAST)):
            save(tmp_path / "run" / name, epoch)
        assert resumable(tmp_path / "run", lambda _: None) == tmp_path / "run" / "last.ckpt"
        (tmp_path / "run" / "last.ckpt").write_bytes(b"damaged")
        assert resumable(tmp_path / "run", lambda _: None) == tmp_path / "run" / "best.ckpt"
        assert "resuming from the older best.ckpt, because last.ckpt is damaged" in caplog.text
        save(tmp_path / "run" / "last.ckpt", 2)
        assert resumable(tmp_path / "run", lambda _: "they are of others") is None
        assert "are dropped, because they are of others" in caplog.text
    assert not (tmp_path / "run").exists()
