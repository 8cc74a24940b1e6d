"""Rows of tokens for each step of a training, a function of the step alone, so that a step can come again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch
from torch import Tensor

from topiclab.minillm.data.packing import Packing, Rows

Batch = dict[str, Tensor]  # ids, labels and where documents are masked documents, (rows, T) int64


class TokenDataModule(L.LightningDataModule):
    """Batches for next-token training; a Lightning epoch is a round of steps.

    pack: the rows of epoch 0, 1, ... over the training documents.  val: rows of held-out documents.
    rows_per_step: on all devices together.  steps_per_round, num_steps: the last round may be shorter.
    rows_per_batch, most_val_rows: of held-out rows.  masks_documents: tokens see their own document alone.
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
        """Share of the places of the training rows that carry loss or may: that are no padding."""
        return self._packing.fill

    def train_dataloader(self) -> Batches:
        round_number = 0 if self.trainer is None else self.trainer.current_epoch
        first = round_number * self.steps_per_round
        steps = range(first, min(first + self.steps_per_round, self.num_steps))
        return Batches(self.step, steps)

    def val_dataloader(self) -> Batches:
        return Batches(self._val_batch, range(0, len(self._val_rows), self.rows_per_batch))

    def step(self, number: int) -> Batch:
        """The rows of a step, this device's share of them.

        Epochs follow one another row by row. They are as long as the first one: best fit needs a few rows
        more or less in another order, of which the last wait or the first come again.
        Raises ValueError where a device would have none.
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
        """Its number, and of how many."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


@dataclass(frozen=True)
class Batches:
    """batch(number) for each number: made when asked for, and no list, which Lightning takes for loaders."""

    batch: Callable[[int], Batch]
    numbers: range

    def __iter__(self) -> Iterator[Batch]:
        return map(self.batch, self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)
