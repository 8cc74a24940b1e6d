"""GridEncoder: reads the code of each cell, not only the number of occurrences of each code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from topiclab.data.batch import Batch, Nonzeros
from topiclab.models.base.encoder import Encoder


class GridEncoder(Encoder):
    """Encoder whose first layer has a row of weights for each (cell, code) and sums the rows of a grid.

    Equivalent to one convolution with a kernel as large as the one-hot grid, as published, but the
    (B, P * N) one-hot rows are never formed.
    batch.embeddings: (B, P) code of each of P cells in raster order, 0..num_codes - 1, as float32, which
    represents whole numbers up to 2^24 exactly.
    """

    def __init__(self, *, num_cells: int, num_codes: int, **options: Any) -> None:
        super().__init__(**options | {"reads": "bow", "num_words": num_cells * num_codes})
        self.num_codes = num_codes

    def hidden(self, batch: Batch) -> Tensor:
        assert batch.embeddings is not None
        return super().hidden(replace(batch, bow=cells_of(batch.embeddings.long(), self.num_codes)))


def cells_of(grid: Tensor, num_codes: int) -> Nonzeros:
    """Bag of the P words cell * num_codes + code of each grid (B, P) int64."""
    num_docs, num_cells = grid.shape
    cells = torch.arange(num_cells, device=grid.device)
    docs = torch.arange(num_docs, device=grid.device).repeat_interleave(num_cells)
    words = (grid + cells * num_codes).flatten()
    offsets = torch.arange(num_docs + 1, device=grid.device) * num_cells
    lengths = torch.full((num_docs,), float(num_cells), device=grid.device)
    counts = torch.ones_like(words, dtype=torch.float32)
    return Nonzeros(docs, words, counts, offsets, lengths, num_cells * num_codes)
