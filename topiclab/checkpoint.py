"""Checkpoints of a training loop: written as whole files, at intervals."""

from __future__ import annotations

import json
import time
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from topiclab.atomic import atomic_file, atomic_path, finite


class LastCheckpoint(Callback):
    """Saves last.ckpt, from which training resumes, and training_history.json.

    It saves after the last epoch, and after any epoch that ends at least `seconds` after the last save,
    because a save costs as much as an epoch of a small corpus.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.saved = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        is_due = time.monotonic() - self.saved >= self.seconds
        if trainer.strategy.broadcast(is_due):  # clocks differ, and every process takes part in a save
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        save_checkpoint(trainer, self.folder / "checkpoints" / "last.ckpt")
        self.saved = time.monotonic()
        if not trainer.is_global_zero:
            return
        with atomic_file(self.folder / "training_history.json") as stream:
            stream.write(json.dumps(finite(pl_module.history), indent=1, allow_nan=False).encode())  # type: ignore[arg-type]


def save_checkpoint(trainer: L.Trainer, path: Path) -> None:
    """Write the checkpoint atomically: after a kill, the previous file is still there.

    Lightning alone would move it from the temporary folder, which between file systems is a copy.
    """
    if not trainer.is_global_zero:
        trainer.save_checkpoint(path)  # takes part in the save but writes nothing
        return
    for left in path.parent.glob(f"{path.name}.*.tmp"):  # left by a kill, as large as the checkpoint
        left.unlink()
    with atomic_path(path) as partial:
        trainer.save_checkpoint(partial)
