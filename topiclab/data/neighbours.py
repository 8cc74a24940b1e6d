"""Nearest neighbours of documents in embedding space: one exact search, shared by all that need it."""

from __future__ import annotations

import numpy as np
import torch


def nearest_neighbours(vectors: np.ndarray, num_neighbours: int, block: int = 1024) -> np.ndarray:
    """The rows with the highest cosine to each row, itself excluded; exact, by blocks of one matrix product.

    vectors: (N, E).  Returns (N, min(num_neighbours, N - 1)) int32, nearest first.
    """
    unit = torch.nn.functional.normalize(
        torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)), dim=1
    )
    num_neighbours = min(num_neighbours, len(unit) - 1)
    found = []
    for start in range(0, len(unit), block):
        cosine = unit[start : start + block] @ unit.T
        rows = torch.arange(len(cosine))
        cosine[rows, rows + start] = -2.0
        found.append(cosine.topk(num_neighbours, dim=1).indices.int())
    return torch.cat(found).numpy()
