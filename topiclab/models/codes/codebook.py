"""Stage 1 of TVQ-VAE for words and images: autoencoder and codebook, trained once for a whole sweep."""

from __future__ import annotations

import copy
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from topiclab.cache import Cache, Key, key_hash, save_array
from topiclab.device import resolve_device
from topiclab.nn.quantizer import VectorQuantizer

log = logging.getLogger(__name__)
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # see training.py

KIND = "codebooks"  # folder of the cache entries
EVAL_BATCH = 2048
MAX_START_ROWS = 16 * EVAL_BATCH  # inputs used to initialise the codes
MAX_DEVICE_BYTES = 8 << 30  # larger inputs are copied to the device batch by batch


@dataclass(frozen=True)
class Codebook:
    """A finished stage 1.  key: hash of everything it depends on.  vectors: (N, d) float32.

    facts: usage (share of the codes in use), perplexity (1..N) and mse over the evaluated inputs; epochs;
    seconds of the original fit; history, a list of such facts per epoch.
    """

    key: str
    vectors: np.ndarray
    facts: dict[str, Any]
    is_cached: bool


class Autoencoder(Protocol):
    """Autoencoder around a codebook; both are trained together."""

    quantizer: VectorQuantizer

    def prepare(self, raw: Tensor) -> Tensor:
        """Float inputs (B, ...) from stored inputs."""
        ...

    def vectors(self, inputs: Tensor) -> Tensor:
        """Vectors (M, d) to quantise; M is a multiple of B."""
        ...

    def restored(self, vectors: Tensor) -> Tensor:
        """Reconstructed inputs (B, ...) from vectors (M, d)."""
        ...


class CodebookTraining(L.LightningModule):
    """Mean squared error plus the quantizer's loss, by AdamW with manual steps over in-memory inputs.

    One Lightning batch is one epoch, as in TrainedModule, without device synchronisation inside it.
    inputs: (D, ...) as stored.  weights: (D,) weight of each input, 1 on average; None for equal weights.
    train_rows, val_rows: rows of inputs; without val_rows the facts describe the training rows.
    warmup_epochs: number of epochs before the vectors are quantised.
    is_best_kept: restore the autoencoder of the epoch with the lowest error on val_rows.
    """

    def __init__(
        self,
        autoencoder: nn.Module,
        inputs: Tensor,
        *,
        train_rows: np.ndarray,
        val_rows: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        seed: int,
        batch_size: int,
        lr: float,
        weight_decay: float = 0.0,
        warmup_epochs: int = 0,
        is_best_kept: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.autoencoder: Any = autoencoder
        self.inputs = inputs
        self.weights = None if weights is None else torch.from_numpy(np.asarray(weights, np.float32))
        self.train_rows = torch.from_numpy(np.asarray(train_rows, np.int64))
        has_val = val_rows is not None and len(val_rows) > 0
        self.val_rows = torch.from_numpy(np.asarray(val_rows, np.int64)) if has_val else None
        self.seed, self.batch_size, self.lr, self.weight_decay = seed, batch_size, lr, weight_decay
        self.warmup_epochs = warmup_epochs
        self.is_best_kept = is_best_kept and has_val
        self.history: list[dict[str, float]] = []
        self._best: tuple[float, dict[str, Tensor]] | None = None

    def train_dataloader(self) -> list[int]:
        return [0]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True)

    def on_fit_start(self) -> None:
        if self.inputs.nbytes <= MAX_DEVICE_BYTES:
            self.inputs = self.inputs.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Initialise the codes at clusters of the encoder's vectors once the warm-up is over."""
        self._seed(self.current_epoch)
        quantizer = self.autoencoder.quantizer
        if self.is_quantizing and not quantizer.is_started.item():
            rows = self.train_rows[torch.randperm(len(self.train_rows))[:MAX_START_ROWS]]
            with torch.no_grad():
                vectors = [self.autoencoder.vectors(inputs).float() for inputs, _ in self.batches(rows)]
            quantizer.start(torch.cat(vectors))

    @property
    def is_quantizing(self) -> bool:
        return self.current_epoch >= self.warmup_epochs

    def training_step(self, _batch: Any, _index: int) -> None:
        counted: Any = self.optimizers()
        optimizer: torch.optim.Optimizer = counted.optimizer
        parameters = list(self.parameters())
        rows = self.train_rows[torch.randperm(len(self.train_rows))]
        sums = {name: torch.zeros((), device=self.device) for name in ("mse", "codes")}
        self.autoencoder.quantizer.reset_statistics()
        seen = 0
        for inputs, weights in self.batches(rows, self.batch_size):
            for parameter in parameters:
                parameter.grad = None
            loss, error = self.reconstruct(inputs, weights)
            with torch.autocast(self.device.type, enabled=False):
                (error + loss).backward()
            seen += len(inputs)
            (counted if seen == len(rows) else optimizer).step()  # Lightning counts one step per epoch
            sums["mse"] += error.detach() * (len(inputs) / len(rows))
            sums["codes"] += loss.detach() * (len(inputs) / len(rows))
        self._record({name: value.item() for name, value in sums.items()})

    def reconstruct(self, inputs: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Quantizer loss and mean squared error of prepared inputs."""
        vectors = self.autoencoder.vectors(inputs)
        repeats = len(vectors) // len(inputs)
        each = weights if weights is None or repeats == 1 else weights.repeat_interleave(repeats)
        loss = vectors.new_zeros(())
        if self.is_quantizing:
            quantized = self.autoencoder.quantizer(vectors, each)
            vectors, loss = quantized.vectors, quantized.loss
        squares = (self.autoencoder.restored(vectors).float() - inputs).square().flatten(1).mean(1)
        return loss, (squares if weights is None else squares * weights).mean()

    def batches(self, rows: Tensor, batch_size: int = EVAL_BATCH) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Prepared inputs and weights of the rows, in mini-batches of nearly equal size."""
        for part in rows.tensor_split(max(1, -(-len(rows) // batch_size))):
            raw = self.inputs[part.to(self.inputs.device)].to(self.device)
            weights = None if self.weights is None else self.weights[part].to(self.device)
            yield self.autoencoder.prepare(raw), weights

    @torch.no_grad()
    def evaluate(self, rows: Tensor) -> dict[str, float]:
        """mse, usage and perplexity of the rows under the current autoencoder, with equal weights."""
        is_training = self.autoencoder.training
        self.autoencoder.eval()
        self.autoencoder.quantizer.reset_statistics()
        total = torch.zeros((), device=self.device)
        for inputs, _ in self.batches(rows):
            total += self.reconstruct(inputs)[1] * (len(inputs) / len(rows))
        self.autoencoder.train(is_training)
        return {"mse": total.item(), **self.autoencoder.quantizer.statistics()}

    def _record(self, sums: dict[str, float]) -> None:
        values = {"epoch": self.current_epoch, **sums, **self.autoencoder.quantizer.statistics()}
        if not np.isfinite(sums["mse"] + sums["codes"]):
            raise FloatingPointError(f"stage 1 diverged: {values}; lower model.codebook.lr={self.lr}")
        if self.val_rows is not None:
            values |= {f"val_{name}": value for name, value in self.evaluate(self.val_rows).items()}
            if (
                self.is_best_kept
                and self.is_quantizing
                and (self._best is None or values["val_mse"] < self._best[0])
            ):
                self._best = (values["val_mse"], copy.deepcopy(self.autoencoder.state_dict()))
        self.history.append(values)

    def on_fit_end(self) -> None:
        if self._best is not None:
            self.autoencoder.load_state_dict(self._best[1])

    def _seed(self, epoch: int) -> None:
        torch.manual_seed(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0].item())


def train_codebook(
    training: CodebookTraining, *, max_epochs: int, device: str, is_bf16: bool = False
) -> dict[str, Any]:
    """Fit in place on one device, leave the module there in eval mode and return its facts (see Codebook)."""
    place = torch.device(resolve_device(device))
    trainer = L.Trainer(
        max_epochs=max_epochs,
        accelerator={"cuda": "gpu"}.get(place.type, place.type),
        devices=[place.index] if place.index is not None else 1,
        precision="bf16-mixed" if is_bf16 else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        trainer.fit(training)
    training.to(place).eval()
    rows = training.train_rows if training.val_rows is None else training.val_rows
    facts = training.evaluate(rows)
    return {**facts, "epochs": len(training.history), "history": training.history}


@contextmanager
def own_random_state() -> Iterator[None]:
    """Restore the global random state on exit."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def stored_codebook(
    cache_root: Path | None,
    key: Key,
    compute: Callable[[], tuple[dict[str, np.ndarray], dict[str, Any]]],
    what: str,
) -> tuple[dict[str, np.ndarray], dict[str, Any], bool]:
    """Arrays and facts of `compute`, run once per key, and True if they were in the cache.

    what: start of the log line, like `codebook of 300 codes, seed 0`. Without a cache_root `compute` runs
    every time. The global random state does not change.
    """
    if cache_root is None:
        started = time.perf_counter()
        with own_random_state():
            arrays, facts = compute()
        facts = {**facts, "seconds": round(time.perf_counter() - started, 3)}
        log.info("%s: computed in %.1f s", what, facts["seconds"])
        return arrays, facts, False

    def fill(folder: Path) -> dict[str, Any]:
        with own_random_state():
            arrays, facts = compute()
        for name, array in arrays.items():
            save_array(folder / f"{name}.npy", array)
        return {"facts": facts}

    entry = Cache(cache_root).entry(KIND, key, fill)
    facts = {**entry.manifest["facts"], "seconds": entry.manifest["seconds"]}
    if entry.is_cached:
        log.info("%s: from the cache (%s)", what, key_hash(key)[:12])
    else:
        log.info("%s: computed in %.1f s", what, facts["seconds"])
    return entry.arrays(), facts, entry.is_cached
