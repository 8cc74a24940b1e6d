"""Nearest neighbours of documents in embedding space: one exact search, shared by all that need it."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import normalize


def nearest_neighbours(
    vectors: np.ndarray, num_neighbours: int, queries: np.ndarray | None = None, block: int = 1024
) -> np.ndarray:
    """Rows with the highest cosine to each query; exact, one matrix product per block of queries.

    vectors: (N, E).  queries: (M, E); if None, every row is a query, itself excluded from its neighbours.
    Returns (M, num_neighbours) int32, nearest first; fewer columns where there are fewer rows.
    """
    index = _unit(vectors)
    asking = index if queries is None else _unit(queries)
    num_neighbours = min(num_neighbours, len(index) - (queries is None))
    found = []
    for start in range(0, len(asking), block):
        cosine = asking[start : start + block] @ index.T
        if queries is None:
            rows = torch.arange(len(cosine))
            cosine[rows, rows + start] = -2.0
        found.append(cosine.topk(num_neighbours, dim=1).indices.int())
    return torch.cat(found).numpy() if found else np.empty((0, num_neighbours), np.int32)


def _unit(vectors: np.ndarray) -> torch.Tensor:
    return normalize(torch.from_numpy(np.array(vectors, dtype=np.float32)), dim=1)


def cosines(queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Cosine of each query (Q, E) to the rows (Q, k) of vectors (N, E) given for it; (Q, k) float32."""
    asking, index = _unit(queries), _unit(vectors)
    columns = [(asking * index[column]).sum(dim=1) for column in torch.from_numpy(rows.astype(np.int64)).T]
    return torch.stack(columns, dim=1).numpy()
