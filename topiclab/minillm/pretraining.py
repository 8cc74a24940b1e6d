"""Training a MiniLLM with Lightning: loss exact to the token, bit-identical resumption at every round."""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.optim import Optimizer

from topiclab.checkpoint import BEST, LAST, LastCheckpoint, load_checkpoint, resumable, save_checkpoint
from topiclab.device import resolve_device, resolve_precision
from topiclab.minillm.network import IGNORED, MiniLLM
from topiclab.minillm.optimizer import PEAK, OptimizerOptions, make_optimizer
from topiclab.minillm.schedule import Schedule, share_of_peak
from topiclab.settings import Trainer

log = logging.getLogger(__name__)

SEED_STRIDE = 1_000_003  # between the seeds of rounds
MAX_EXPONENT = math.log(sys.float_info.max)


class TrainingOptions(TypedDict):
    """The keys that the groups `pretrain` and `finetune` share; conf/task says what each does."""

    passes: float
    tokens_per_step: int
    rows_per_device: int
    masks_documents: bool
    eval_steps: int
    eval_rows: int
    gradient_clip: float
    z_loss: float
    is_compiled: bool
    optimizer: OptimizerOptions
    schedule: Schedule


class Pretraining(L.LightningModule):
    """Next-token training. A Lightning batch is one optimizer step; an epoch is a round of such steps.

    model: trained in place.  num_steps: of the whole training.  micro_rows: rows of a step that are in memory
    at once; gradients are accumulated over them. The loss is the sum of nats over all tokens of the step,
    divided by their number, on all devices, so that neither split changes it.
    optimizer, schedule: options of `make_optimizer` and `share_of_peak`.  gradient_clip: maximum norm.
    z_loss: weight of the squared log-normaliser (Chowdhery et al. 2022).
    token_bytes: (V,) UTF-8 bytes of each token, 0 for special ones; used for bits per byte.
    tells_few: most labels are IGNORED, so logits are computed only for the others.
    is_compiled: use torch.compile, in each process separately.
    on_round: called with the module after each validation; it may add to `samples`, one text per round.
    Raises FloatingPointError if a loss is not finite, before it reaches the weights or a checkpoint.
    """

    def __init__(
        self,
        model: MiniLLM,
        *,
        num_steps: int,
        micro_rows: int,
        optimizer: OptimizerOptions,
        schedule: Schedule,
        gradient_clip: float,
        token_bytes: Tensor,
        seed: int,
        z_loss: float = 0.0,
        tells_few: bool = False,
        is_compiled: bool = False,
        on_round: Callable[[Pretraining], None] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.num_steps, self.micro_rows, self.gradient_clip = num_steps, micro_rows, gradient_clip
        self.optimizer_options, self.schedule, self.z_loss = optimizer, schedule, z_loss
        self.seed, self.is_compiled, self.on_round = seed, is_compiled, on_round
        self.tells_few = tells_few
        self.register_buffer("token_bytes", token_bytes.double(), persistent=False)
        self.steps_done = self.tokens_done = 0
        self.best, self.inputs = math.inf, ""
        self.history: list[dict[str, float]] = []
        self.samples: list[str] = []
        self._sums: dict[str, Tensor] = {}
        self._round: list[tuple[float, float, int]] = []
        self._started = time.perf_counter()

    token_bytes: Tensor

    def setup(self, stage: str) -> None:
        if self.is_compiled:  # here, since a module loses its compilation on the way to another process
            self.model.compile(dynamic=False)

    def configure_optimizers(self) -> Optimizer:
        return make_optimizer(self.model, self.optimizer_options)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self.seed + SEED_STRIDE * (self.current_epoch + 1) + self.global_rank)
        self._round, self._started = [], time.perf_counter()

    def training_step(self, batch: dict[str, Tensor], _index: int) -> None:
        wrapped: Any = self.optimizers()
        optimizer: Optimizer = wrapped.optimizer
        share = share_of_peak(self.steps_done, self.num_steps, **self.schedule)
        for group in optimizer.param_groups:
            group["lr"] = share * group[PEAK]
        optimizer.zero_grad(set_to_none=True)
        num_tokens = self._over_devices((batch["labels"] != IGNORED).sum())
        loss = self._backward(batch, num_tokens.clamp(min=1))  # 0 if replies are cut off
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip)
        nats, size = float(self._over_devices(loss)), float(norm)
        if not math.isfinite(nats + size):
            raise FloatingPointError(
                f"the loss of step {self.steps_done + 1} is {nats} nats per token, its gradient norm "
                f"{size}; {self._kept()}: lower the learning rate, or inspect the rows of that step"
            )
        wrapped.step()
        self.steps_done += 1
        self.tokens_done += int(num_tokens)
        self._round.append((nats, size, int(num_tokens)))

    def _backward(self, batch: dict[str, Tensor], num_tokens: Tensor) -> Tensor:
        """Accumulate the gradients of a step; return its nats per token on this device's rows."""
        ids, labels, documents = batch["ids"], batch["labels"], batch.get("documents")
        loss = torch.zeros((), device=self.device)
        parts = range(0, len(ids), self.micro_rows)
        for start in parts:
            rows = slice(start, start + self.micro_rows)
            hidden = self.model(ids[rows], documents=None if documents is None else documents[rows])
            hidden, scored = self._scored(hidden, labels[rows])
            nats = self.model.nll(hidden, scored).sum() / num_tokens
            penalty = self._penalty(hidden, scored) / num_tokens if self.z_loss else 0.0
            with nullcontext() if start == parts[-1] else self._unsynced():
                # devices average their gradients, but this loss is a sum over all of them
                self.manual_backward((nats + penalty) * self.trainer.world_size)
            loss += nats.detach()
        return loss

    def _scored(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One row of the positions that carry loss, if few do: the other logits cost a fifth of a step."""
        if not self.tells_few:
            return hidden, labels
        is_scored = labels != IGNORED
        return hidden[is_scored].unsqueeze(0), labels[is_scored].unsqueeze(0)

    def _kept(self) -> str:
        """Clause of an error message: the checkpoint left by a training that stops."""
        if not self.history:
            return "there is no checkpoint yet"
        best = min(self.history, key=lambda entry: entry["val/ce"])
        return f"{self.trainer.default_root_dir}/checkpoints/best.ckpt of step {best['step']:.0f} is kept"

    def _penalty(self, hidden: Tensor, labels: Tensor) -> Tensor:
        normalisers = self.model.logits(hidden).float().logsumexp(dim=-1)
        return self.z_loss * (normalisers.square() * (labels != IGNORED)).sum()

    def _unsynced(self) -> Any:
        """Context in which gradients stay on their device, for all but the last part of a step."""
        wrapper: Any = self.trainer.strategy.model
        return wrapper.no_sync() if hasattr(wrapper, "no_sync") else nullcontext()

    def _over_devices(self, value: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(value, reduce_op="sum") if self.trainer.world_size > 1 else value

    def on_validation_epoch_start(self) -> None:
        self._sums = {
            name: torch.zeros((), dtype=torch.double, device=self.device)
            for name in ("nats", "bytes", "tokens")
        }

    def validation_step(self, batch: dict[str, Tensor], _index: int) -> None:
        labels = batch["labels"]
        hidden, labels = self._scored(self.model(batch["ids"], documents=batch.get("documents")), labels)
        nats = self.model.nll(hidden, labels)
        is_scored = labels != IGNORED
        self._sums["nats"] += nats.double().sum()
        self._sums["tokens"] += is_scored.sum()
        self._sums["bytes"] += self.token_bytes[labels[is_scored]].sum()

    def on_validation_epoch_end(self) -> None:
        sums = {name: float(self._over_devices(value)) for name, value in self._sums.items()}
        if not sums["tokens"]:
            raise ValueError(
                "held-out rows have no token to predict: conversations are cut before their replies; raise "
                "finetune.length"
            )
        entry = {"step": self.steps_done, "tokens": self.tokens_done, **held_out(**sums)}
        if not math.isfinite(entry["val/perplexity"]):
            raise FloatingPointError(
                f"held-out text costs {entry['val/ce']} nats per token after step {self.steps_done}; "
                f"{self._kept()}: lower the learning rate"
            )
        if self._round:
            nats, norms, tokens = zip(*self._round, strict=True)
            seconds = time.perf_counter() - self._started
            entry |= {
                "train/ce": math.fsum(n * t for n, t in zip(nats, tokens, strict=True)) / max(1, sum(tokens)),
                "gradient_norm": max(norms),
                "tokens_per_second": sum(tokens) / seconds,
                "lr_share": share_of_peak(self.steps_done - 1, self.num_steps, **self.schedule),
            }
        self.history.append(entry)
        for logger in self.loggers:
            logger.log_metrics(entry, step=self.steps_done)
        if self.on_round is not None and self.global_rank == 0:
            self.on_round(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["inputs"] = self.inputs
        checkpoint["progress"] = {
            "steps": self.steps_done,
            "tokens": self.tokens_done,
            "best": self.best,
            "history": self.history,
            "samples": self.samples,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        progress = checkpoint["progress"]
        self.steps_done, self.tokens_done = progress["steps"], progress["tokens"]
        self.best, self.history, self.samples = progress["best"], progress["history"], progress["samples"]


def held_out(nats: float, tokens: float, bytes: float) -> dict[str, float]:
    """Cross-entropy in nats per token, its exponential, and bits per byte, comparable across tokenizers.

    Nats of special tokens count although these have no bytes: ending a document has a cost, too.
    """
    ce = nats / tokens
    return {
        "val/ce": ce,
        "val/perplexity": math.exp(ce) if ce < MAX_EXPONENT else math.inf,
        "val/bits_per_byte": nats / math.log(2) / bytes if bytes else math.nan,
    }


class BestCheckpoint(Callback):
    """Keeps best.ckpt, from the round with the lowest cross-entropy on held-out text."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkpoints" / BEST

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Pretraining)
        ce = pl_module.history[-1]["val/ce"]
        if ce < pl_module.best:
            pl_module.best = ce
            save_checkpoint(trainer, self.path)


def train_rounds(
    module: Pretraining,
    datamodule: L.LightningDataModule,
    folder: Path,
    trainer: Trainer,
    *,
    num_rounds: int,
    inputs: str,
    loggers: Sequence[Logger] = (),
) -> None:
    """Train in place, resuming from folder/checkpoints/last.ckpt if it has the same inputs, and save there.

    trainer: device, devices, precision, checkpoint_seconds.  inputs: hash of everything the rows depend on.
    loggers: receive each entry of the history, by optimizer step.
    Several devices get one process each (gloo or NCCL).
    """
    device = torch.device(resolve_device(trainer.device))
    precision = resolve_precision(trainer.precision, device.type)
    module.inputs = inputs
    checkpoints = folder / "checkpoints"
    resumed = resumable(checkpoints, partial(_mismatch, inputs=inputs, checkpoints=checkpoints))
    if resumed is not None:
        log.info("resuming from %s", resumed)
    fitter = L.Trainer(
        max_epochs=num_rounds,
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=[device.index] if device.index is not None else trainer.devices,
        strategy="ddp_spawn" if trainer.devices != 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        logger=list(loggers),
        log_every_n_steps=1,
        callbacks=[BestCheckpoint(folder), LastCheckpoint(folder, trainer.checkpoint_seconds)],
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        fitter.fit(module, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    if trainer.devices != 1:  # the trained module ended with its process
        module.on_load_checkpoint(load_checkpoint(checkpoints / LAST))


def _mismatch(checkpoint: Mapping[str, Any], inputs: str, checkpoints: Path) -> str | None:
    """Return why training cannot resume from a checkpoint; None if it can."""
    if checkpoint.get("inputs") != inputs:
        return "they belong to another text, tokenizer or shape"
    return None if (checkpoints / BEST).exists() else f"{BEST} is missing"
