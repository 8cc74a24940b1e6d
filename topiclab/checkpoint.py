"""Checkpoints of a training loop: written as whole files, at intervals, each with its digest beside it."""

from __future__ import annotations

import json
import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from topiclab.atomic import atomic_file, atomic_path, finite
from topiclab.digest import file_sha256

log = logging.getLogger(__name__)

LAST, BEST = "last.ckpt", "best.ckpt"


class LastCheckpoint(Callback):
    """Saves last.ckpt, from which training resumes, and training_history.json.

    It saves after the last epoch, and after any epoch that ends at least `seconds` after the last save,
    because a save costs as much as an epoch of a small corpus.
    before: called with the module before each save.
    """

    def __init__(
        self, folder: Path, seconds: float, before: Callable[[L.LightningModule], None] | None = None
    ) -> None:
        self.folder, self.seconds, self.before = folder, seconds, before
        self.saved = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        is_due = time.monotonic() - self.saved >= self.seconds
        if trainer.strategy.broadcast(is_due):  # clocks differ, and every process takes part in a save
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.before is not None:
            self.before(pl_module)
        save_checkpoint(trainer, self.folder / "checkpoints" / LAST)
        self.saved = time.monotonic()
        if not trainer.is_global_zero:
            return
        with atomic_file(self.folder / "training_history.json") as stream:
            stream.write(json.dumps(finite(pl_module.history), indent=1, allow_nan=False).encode())  # type: ignore[arg-type]


def save_checkpoint(trainer: L.Trainer, path: Path) -> None:
    """Write the checkpoint atomically: after a kill, the previous file is still there, with its digest.

    Lightning alone would move it from the temporary folder, which between file systems is a copy.
    """
    if not trainer.is_global_zero:
        trainer.save_checkpoint(path)  # takes part in the save but writes nothing
        return
    with checkpoint_file(path) as partial:
        trainer.save_checkpoint(partial)


@contextmanager
def checkpoint_file(path: Path) -> Iterator[Path]:
    """Yield where to write a checkpoint, which then becomes `path`, with its digest in a file beside it."""
    for left in path.parent.glob(f"{path.name}.*.tmp"):  # left by a kill, as large as the checkpoint
        left.unlink()
    with atomic_path(path) as partial:
        yield partial
        digest = file_sha256(partial)
        # a kill may fall on either side of the renaming, so both files are right until it is done
        _write_digests(path, [digest, *_read_digests(path)])
    _write_digests(path, [digest])


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU; ValueError if it is damaged, pickled code is refused.

    One of an earlier version, without a digest, is checked by the CRCs that its format holds.
    """
    try:
        digests = _read_digests(path)
        if digests and file_sha256(path) not in digests:
            raise ValueError("it does not match its checksum")
        if not digests and (broken := zipfile.ZipFile(path).testzip()):
            raise ValueError(f"{broken} in it does not match its checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its parsers meet
        reason = f"{type(error).__name__} {str(error).partition(chr(10))[0]}"
        raise ValueError(f"{path.name} is damaged ({reason})") from error


def resumable(checkpoints: Path, mismatch: Callable[[Mapping[str, Any]], str | None]) -> Path | None:
    """The checkpoint that training can resume from: last.ckpt, or best.ckpt if that is damaged; None without.

    A best.ckpt that holds weights alone is kept, but nothing resumes from it.
    mismatch: returns why the content of a checkpoint cannot be resumed from, None if it can.
    Checkpoints that are of no use are removed, with a warning that says why.
    """
    if not (checkpoints / LAST).exists():
        return None
    found: list[Path] = []
    for path in (checkpoints / BEST, checkpoints / LAST):
        if not path.exists():
            continue
        is_whole = True
        try:
            content = load_checkpoint(path)
            fault, is_whole = mismatch(content), content.get("is_whole", True)
        except ValueError as error:
            fault = str(error)
        if fault is None:
            found += [path] if is_whole else []
        elif path.name == LAST and found and "damaged" in fault:
            log.warning("resuming from the older %s, because %s", BEST, fault)
            path.unlink()
        else:
            log.warning("starting over: the checkpoints in %s are dropped, because %s", checkpoints, fault)
            shutil.rmtree(checkpoints)
            return None
    return found[-1] if found else None


def _digests_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _read_digests(path: Path) -> list[str]:
    """Digests of which a whole checkpoint has one; none if it is of an earlier version."""
    try:
        return [line.partition(" ")[0] for line in _digests_of(path).read_text("utf-8").splitlines()]
    except FileNotFoundError:
        return []


def _write_digests(path: Path, digests: list[str]) -> None:
    with atomic_file(_digests_of(path)) as stream:
        stream.write("".join(f"{digest}  {path.name}\n" for digest in digests).encode())
