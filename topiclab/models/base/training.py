"""Training of a TrainedModule with Lightning: checkpoints, early stopping, loggers and exact resume."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger

from topiclab.checkpoint import (
    BEST,
    LastCheckpoint,
    checkpoint_file,
    load_checkpoint,
    resumable,
    save_checkpoint,
)
from topiclab.data.datamodule import TopicDataModule
from topiclab.device import resolve_device, trains_in_bf16
from topiclab.models.base.trained_module import TrainedModule
from topiclab.settings import Trainer

log = logging.getLogger(__name__)
# Silences accelerators found, advertisements and the reason fit stopped: result.json holds what matters.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


class EarlyStoppingAfterWarmup(EarlyStopping):
    """Early stopping that starts once the KL weight is 1; the validation loss itself is never annealed."""

    def __init__(self, first_epoch: int, **options: Any) -> None:
        super().__init__(**options)
        self.first_epoch = first_epoch

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep a fit stopped that is resumed after it stopped early."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch >= self.first_epoch:
            super().on_validation_end(trainer, pl_module)


class BestAfterWarmup(ModelCheckpoint):
    """Keeps the best checkpoint of the epochs whose KL weight was 1."""

    def __init__(self, first_epoch: int, **options: Any) -> None:
        super().__init__(**options)
        self.first_epoch = first_epoch

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch >= self.first_epoch:
            super().on_validation_end(trainer, pl_module)

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        """Write it as last.ckpt is written: whole, with its digest."""
        save_checkpoint(trainer, Path(filepath))
        self._last_global_step_saved, self._last_checkpoint_saved = trainer.global_step, filepath


class BestWeights(Callback):
    """Keeps the weights of the best epoch whose KL weight was 1: in memory, and in best.ckpt by `write`.

    For a fit that runs all its epochs: writing at every better epoch, as `BestAfterWarmup` does, costs as
    much as an epoch of a small corpus. best.ckpt then holds weights alone, and training resumes from
    last.ckpt.
    """

    def __init__(self, path: Path, first_epoch: int) -> None:
        self.path, self.first_epoch = path, first_epoch
        self.loss, self.epoch = math.inf, -1
        self._weights: dict[str, torch.Tensor] | None = None  # until they are written

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TrainedModule)
        loss = pl_module.history[-1]["val/loss"]
        if trainer.current_epoch >= self.first_epoch and loss < self.loss:
            self.loss, self.epoch = loss, trainer.current_epoch
            self._weights = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}

    def write(self, pl_module: L.LightningModule) -> None:
        """Write best.ckpt if a better epoch has ended since the last call."""
        if self._weights is None:
            return
        facts = {"epoch": self.epoch, "val/loss": self.loss, "is_whole": False}
        content = {"state_dict": self._weights, **facts}
        pl_module.on_save_checkpoint(content)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with checkpoint_file(self.path) as partial:
            torch.save(content, partial)
        self._weights = None

    def state_dict(self) -> dict[str, Any]:
        return {"loss": self.loss, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loss, self.epoch = state_dict["loss"], state_dict["epoch"]


def train(
    model: TrainedModule,
    datamodule: TopicDataModule,
    folder: Path,
    trainer: Trainer,
    loggers: Sequence[Logger] = (),
) -> None:
    """Fit model in place; resumes from folder/checkpoints/last.ckpt, if any.

    trainer: device, devices, precision, patience (epochs without a better validation loss, after which the
    best one is kept; None runs all epochs and keeps the last), deterministic. With validation documents
    folder/checkpoints/best.ckpt holds the best epoch either way.
    Raises FloatingPointError when a loss stops being finite, and ValueError for batches of one document if
    the model uses batch statistics.
    """
    if trainer.devices != 1:
        raise ValueError(
            f"trainer.devices={trainer.devices}: these models train on one device; run cells side by side "
            "with grid.jobs instead"
        )
    _check_batches(model, len(datamodule.train_rows))
    _warn_of_patience(trainer.patience, datamodule)
    folder.mkdir(parents=True, exist_ok=True)
    epochs = model.epochs_for(len(datamodule.train_rows))
    checkpoints = folder / "checkpoints"
    resumed = resumable(checkpoints, partial(_mismatch, datamodule=datamodule, checkpoints=checkpoints))
    if resumed is None:
        torch.manual_seed(model.seed)
        model.initialize(datamodule)
    else:
        log.info("resuming from %s", resumed)
    callbacks = _callbacks(model, datamodule, folder, trainer, epochs)
    device = torch.device(resolve_device(trainer.device))
    fitter = L.Trainer(
        max_epochs=epochs,
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=[device.index] if device.index is not None else 1,
        precision="bf16-mixed" if trains_in_bf16(trainer.precision, device) else "32-true",
        logger=list(loggers),
        callbacks=callbacks,
        num_sanity_val_steps=0,
        limit_val_batches=1 if len(datamodule.val_rows) else 0,
        log_every_n_steps=1,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic="warn" if trainer.deterministic and device.type != "cpu" else None,
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        fitter.fit(model, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    if trainer.patience is not None and (best := checkpoints / BEST).exists():
        model.load_state_dict(load_checkpoint(best)["state_dict"])
    model.epochs_trained = fitter.current_epoch


def _warn_of_patience(patience: int | None, datamodule: TopicDataModule) -> None:
    if patience is not None and not len(datamodule.val_rows):
        log.warning(
            "trainer.patience=%s needs validation documents, but %s has none: all epochs will run; "
            "raise data.split.val to stop early",
            patience,
            datamodule.corpus.name,
        )


def _check_batches(model: TrainedModule, num_docs: int) -> None:
    """Raise ValueError if a batch would hold one document and a layer uses batch statistics."""
    if num_docs // -(-num_docs // model.batch_size) > 1:
        return
    if any(isinstance(getattr(layer, "running_var", None), torch.Tensor) for layer in model.modules()):
        raise ValueError(
            f"batch_size={model.batch_size} cuts {num_docs} training documents into batches of one, whose "
            "variance batch normalisation cannot compute; raise trainer.batch_size or give more documents"
        )


def _mismatch(checkpoint: Mapping[str, Any], datamodule: TopicDataModule, checkpoints: Path) -> str | None:
    """Return why training cannot resume from a checkpoint; None if it can."""
    if checkpoint.get("inputs") != datamodule.fingerprint or not _has_labels(checkpoint, datamodule):
        return "they belong to other documents, embeddings or soft labels"
    states = checkpoint.get("callbacks", {}).values()
    is_kept = any(state.get("best_model_path") or state.get("epoch", -1) >= 0 for state in states)
    if is_kept and not (checkpoints / BEST).exists():
        return f"{BEST} is missing"
    return None


def _has_labels(checkpoint: Mapping[str, Any], datamodule: TopicDataModule) -> bool:
    """True if the checkpoint was trained without soft labels or with those of the data module."""
    key = checkpoint.get("soft_labels")
    return key is None or (datamodule.teach is not None and datamodule.soft_labels.key == key)


def _callbacks(
    model: TrainedModule, datamodule: TopicDataModule, folder: Path, trainer: Trainer, epochs: int
) -> list[Callback]:
    checkpoints = {"dirpath": folder / "checkpoints", "enable_version_counter": False}
    if not len(datamodule.val_rows):
        return [LastCheckpoint(folder, trainer.checkpoint_seconds)]
    first_epoch = max(0, round(model.kl_warmup * epochs) - 1)
    if trainer.patience is None:
        best = BestWeights(folder / "checkpoints" / BEST, first_epoch)
        return [best, LastCheckpoint(folder, trainer.checkpoint_seconds, best.write)]
    watched = {"first_epoch": first_epoch, "monitor": "val/loss"}
    return [
        LastCheckpoint(folder, trainer.checkpoint_seconds),
        EarlyStoppingAfterWarmup(**watched, patience=trainer.patience, check_on_train_epoch_end=False),
        BestAfterWarmup(**watched, filename="best", save_on_train_epoch_end=False, **checkpoints),
    ]
