"""TrainedModule: the training loop of all gradient-trained topic models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from topiclab.data.batch import Batch, DocumentTensors, SparseCounts
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Betas, Count, Natural, Positive, Unit, Weight
from topiclab.objectives import Objective

EVAL_BATCH = 2000  # documents


class TrainedModule(L.LightningModule):
    """Averages and logs the losses, takes the steps and writes the checkpoints of a module.

    A subclass defines `losses`, per document, and never calls self.log. One Lightning batch is one epoch over
    whole in-memory tensors, cut into mini-batches here: for networks this small, a loader and Lightning's
    hooks per mini-batch cost more than the arithmetic.

    objective: maps decoder, theta (B, K) and batch to nats per document.
    max_epochs: passes over the training documents; a small corpus gets more, to reach min_steps steps.
    kl_warmup: the weight of the loss named `kl` rises linearly to 1 over this share of the epochs.
    Every epoch draws its own random state from (seed, epoch), so a resumed fit equals an uninterrupted one.
    """

    def __init__(
        self,
        *,
        objective: Objective,
        seed: int,
        max_epochs: Count,
        min_steps: Natural,
        batch_size: Count,
        lr: Positive,
        betas: Betas,
        weight_decay: Weight,
        gradient_clip: Positive | None,
        kl_warmup: Unit = 0.0,
        class_weight: Weight = 0.0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)  # the layers that a subclass makes after this depend on the seed
        self.automatic_optimization = False
        self.objective = objective
        self.seed = seed
        self.max_epochs, self.min_steps, self.batch_size = max_epochs, min_steps, batch_size
        self.lr, self.weight_decay = lr, weight_decay
        self.betas = (betas[0], betas[1])
        self.gradient_clip = gradient_clip
        self.kl_warmup = kl_warmup
        self.class_weight = class_weight
        self.history: list[dict[str, float]] = []
        self.epochs_trained = 0
        self._documents: DocumentTensors | None = None
        self._train_rows = self._val_rows = torch.empty(0, dtype=torch.long)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named losses, each (B,), in nats per document."""
        raise NotImplementedError

    def documents_of(self, datamodule: TopicDataModule) -> DocumentTensors:
        """Tensors that this model reads of all documents of a corpus."""
        return datamodule.documents

    def initialize(self, datamodule: TopicDataModule) -> None:
        """Set input statistics and initial weights from the training documents."""

    def finalize(self, datamodule: TopicDataModule) -> None:
        """Set buffers that depend on the fitted weights and all training documents, after the last epoch."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            self.parameters(), lr=self.lr, betas=self.betas, weight_decay=self.weight_decay, fused=True
        )

    def load_documents(self, datamodule: TopicDataModule) -> None:
        """Put the documents and the objective's targets on this module's device, as tensors."""
        documents = self.documents_of(datamodule)
        if (targets := self.objective.targets(datamodule)) is not None:
            values = targets.values
            documents = replace(
                documents,
                targets=torch.from_numpy(values) if isinstance(values, np.ndarray) else SparseCounts(values),
                target_entropy=torch.from_numpy(targets.entropy),
            )
        self._documents = documents.to(self.device)
        self._train_rows = torch.from_numpy(datamodule.train_rows).to(self.device)
        self._val_rows = torch.from_numpy(datamodule.val_rows).to(self.device)

    def on_fit_start(self) -> None:
        self.load_documents(self.trainer.datamodule)  # type: ignore[attr-defined]

    def epochs_for(self, num_docs: int, epochs: int | None = None) -> int:
        """Number of epochs for a corpus of num_docs training documents."""
        steps = -(-num_docs // self.batch_size)
        return max(self.max_epochs if epochs is None else epochs, -(-self.min_steps // steps))

    @property
    def warmup_epochs(self) -> int:
        return round(self.kl_warmup * self.epochs_for(len(self._train_rows)))

    def kl_weight(self, epoch: int) -> float:
        return min(1.0, (epoch + 1) / self.warmup_epochs) if self.warmup_epochs else 1.0

    def total_loss(self, means: dict[str, Tensor], kl_weight: float) -> Tensor:
        weights = {"kl": kl_weight, "classification": self.class_weight}
        weighted = (
            value if (weight := weights.get(name, 1.0)) == 1 else weight * value
            for name, value in means.items()
        )
        return reduce(Tensor.add, weighted)

    def training_step(self, _batch: Any, _index: int) -> None:
        epoch = self.current_epoch
        torch.manual_seed(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0].item())
        kl_weight = self.kl_weight(epoch)
        # its step also runs Lightning's hooks, which take a tenth of a mini-batch's time
        counted: Any = self.optimizers()
        optimizer: torch.optim.Optimizer = counted.optimizer
        parameters = list(self.parameters())
        sizes, history = [], defaultdict(list)
        rows = self._train_rows[torch.randperm(len(self._train_rows))]
        for index, batch in enumerate(self.batches(rows, self.batch_size), start=1):
            means = {name: values.mean() for name, values in self.losses(batch).items()}
            for parameter in parameters:
                parameter.grad = None
            # gradients in the dtype of the forward pass
            with torch.autocast(self.device.type, enabled=False):
                self.total_loss(means, kl_weight).backward()
            if self.gradient_clip:
                nn.utils.clip_grad_norm_(self.parameters(), self.gradient_clip)
            is_last = index == self.num_batches(len(rows), self.batch_size)
            (counted if is_last else optimizer).step()  # Lightning counts one step per epoch
            sizes.append(len(batch.rows))
            for name, value in means.items():
                history[name].append(value.detach())
        shares = torch.tensor(sizes, device=self.device) / len(rows)
        self._record("train", {name: torch.stack(history[name]) @ shares for name in history}, kl_weight)

    def validation_step(self, _batch: Any, _index: int) -> None:
        sums: dict[str, Tensor] = {}
        for batch in self.batches(self._val_rows, EVAL_BATCH):
            for name, values in self.losses(batch).items():
                sums[name] = sums.get(name, 0) + values.sum() / len(self._val_rows)
        self._record("val", sums, kl_weight=1.0)

    @staticmethod
    def num_batches(num_rows: int, batch_size: int) -> int:
        return max(1, -(-num_rows // batch_size))

    def batches(self, rows: Tensor, batch_size: int) -> Iterator[Batch]:
        """Mini-batches of nearly equal size, so that no batch is too small for batch statistics."""
        assert self._documents is not None
        return self._documents.batches(rows, self.num_batches(len(rows), batch_size))

    def _record(self, stage: str, sums: dict[str, Tensor], kl_weight: float) -> None:
        values = {f"{stage}/{name}": value.item() for name, value in sums.items()}
        values[f"{stage}/loss"] = self.total_loss(sums, kl_weight).item()
        if not np.isfinite(values[f"{stage}/loss"]):
            raise FloatingPointError(
                f"{stage} loss is {values} in epoch {self.current_epoch}; lower model.lr"
            )
        if stage == "train":
            values["kl_weight"] = kl_weight
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=1)
        if not self.history or self.history[-1]["epoch"] != self.current_epoch:
            self.history.append({"epoch": self.current_epoch})
        self.history[-1].update(values)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        datamodule: TopicDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["history"] = self.history
        checkpoint["inputs"] = datamodule.fingerprint
        checkpoint["soft_labels"] = datamodule.soft_labels_read

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]
