"""Checkpoints of a training loop: whole files, and when they are due."""

from __future__ import annotations

import json
import time
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback


class LastCheckpoint(Callback):
    """Saves where to resume, and training_history.json: after the last epoch, and after any epoch that ends
    `seconds` or more since the last save, because a save costs as much as an epoch of a small corpus.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.saved = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        is_due = time.monotonic() - self.saved >= self.seconds
        if trainer.strategy.broadcast(is_due):  # clocks differ, and all processes take part in a save
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        save_checkpoint(trainer, self.folder / "checkpoints" / "last.ckpt")
        self.saved = time.monotonic()
        if not trainer.is_global_zero:
            return
        history = self.folder / "training_history.json"
        partial = history.with_suffix(".partial")
        partial.write_text(json.dumps(pl_module.history, indent=1))  # type: ignore[arg-type]
        partial.replace(history)


def save_checkpoint(trainer: L.Trainer, path: Path) -> None:
    """The whole file or, where a kill comes first, the one that stood there.

    Lightning moves it from the folder for temporary files, which between file systems is a copy.
    """
    partial = path.with_name(f"{path.name}.partial")
    trainer.save_checkpoint(partial)
    if trainer.is_global_zero:
        partial.replace(path)
