"""Bag of words that both sides of a benchmark read: one .npz that either side can load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse


def write_bag(path: Path, bow: sparse.csr_matrix, vocab: tuple[str, ...]) -> None:
    np.savez(
        path, data=bow.data, indices=bow.indices, indptr=bow.indptr, shape=bow.shape, vocab=np.array(vocab)
    )


def read_bag(path: Path) -> tuple[sparse.csr_matrix, list[str]]:
    """Counts (D, V) and the V words."""
    with np.load(path, allow_pickle=False) as arrays:
        bow = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=arrays["shape"])
        return bow, arrays["vocab"].tolist()
