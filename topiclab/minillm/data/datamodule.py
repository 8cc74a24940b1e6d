"""Rows of tokens for each training step, a function of the step number alone: a step can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch
from torch import Tensor

from topiclab.minillm.data.packing import Packing, Rows

Batch = dict[str, Tensor]  # ids, labels and, with masks_documents, documents: (rows, T) int64


class TokenDataModule(L.LightningDataModule):
    """Batches for next-token training; a Lightning epoch is a round of steps.

    pack: gives the rows of epoch 0, 1, ... over the training documents.  val: rows of held-out documents.
    rows_per_step: on all devices together.  steps_per_round, num_steps: the last round may be shorter.
    rows_per_batch, most_val_rows: batch size and maximum number of held-out rows.
    masks_documents: tokens attend to their own document only.
    """

    def __init__(
        self,
        pack: Callable[[int], Packing],
        val: Packing,
        *,
        rows_per_step: int,
        steps_per_round: int,
        num_steps: int,
        rows_per_batch: int,
        most_val_rows: int,
        masks_documents: bool,
    ) -> None:
        super().__init__()
        self.pack, self.val, self.masks_documents = pack, val, masks_documents
        self.rows_per_step, self.rows_per_batch = rows_per_step, rows_per_batch
        self.steps_per_round, self.num_steps = steps_per_round, num_steps
        self.num_val_rows = min(val.num_rows, most_val_rows)
        self._epoch, self._packing = 0, pack(0)
        self.rows_per_epoch = self._packing.num_rows

    @property
    def num_rounds(self) -> int:
        return -(-self.num_steps // self.steps_per_round)

    @property
    def fill(self) -> float:
        """Share of the positions of the training rows that are not padding."""
        return self._packing.fill

    def train_dataloader(self) -> Batches:
        round_number = 0 if self.trainer is None else self.trainer.current_epoch
        first = round_number * self.steps_per_round
        steps = range(first, min(first + self.steps_per_round, self.num_steps))
        return Batches(self.step, steps)

    def val_dataloader(self) -> Batches:
        return Batches(self._val_batch, range(0, len(self._val_rows), self.rows_per_batch))

    def step(self, number: int) -> Batch:
        """This device's share of the rows of a step.

        Epochs follow one another row by row, and all count as long as the first. In another order, best fit
        needs a few rows more or fewer: the last ones are then left out, or the first ones repeated.
        Raises ValueError if a device would have none.
        """
        rank, world = self._device
        if self.rows_per_step < world:
            raise ValueError(
                f"a step of {self.rows_per_step} rows leaves some of {world} devices without one; raise "
                "tokens_per_step or lower trainer.devices"
            )
        wanted = np.arange(number * self.rows_per_step, (number + 1) * self.rows_per_step)[rank::world]
        epochs = wanted // self.rows_per_epoch
        parts = []
        for epoch in np.unique(epochs).tolist():
            if epoch != self._epoch:
                self._epoch, self._packing = epoch, self.pack(epoch)
            places = wanted[epochs == epoch] % self.rows_per_epoch
            parts.append(self._packing.rows(places % self._packing.num_rows))
        return self._batch(*parts)

    def _batch(self, *parts: Rows) -> Batch:
        arrays = {
            "ids": np.concatenate([rows.ids for rows in parts])[:, :-1],
            "labels": np.concatenate([rows.labels for rows in parts])[:, 1:],
        }
        if self.masks_documents:
            arrays["documents"] = np.concatenate([rows.documents for rows in parts])[:, :-1]
        return {name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}

    def _val_batch(self, start: int) -> Batch:
        return self._batch(self.val.rows(self._val_rows[start : start + self.rows_per_batch]))

    @property
    def _val_rows(self) -> np.ndarray:
        """Numbers of this device's share of the held-out rows."""
        rank, world = self._device
        return np.arange(self.num_val_rows)[rank::world]

    @property
    def _device(self) -> tuple[int, int]:
        """Rank and world size of this process."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


@dataclass(frozen=True)
class Batches:
    """Batches made on demand from their numbers; not a list, which Lightning takes for several loaders."""

    batch: Callable[[int], Batch]
    numbers: range

    def __iter__(self) -> Iterator[Batch]:
        return map(self.batch, self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)
