"""Token lists: documents as a sampler takes them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy import sparse


def token_lists(bow: sparse.csr_matrix) -> Iterator[list[str]]:
    """Tokens of every non-empty document, each word written as its index."""
    names = np.array([str(word) for word in range(bow.get_shape()[1])], dtype=object)
    counts = np.asarray(bow.data, dtype=np.int64)
    tokens = np.repeat(names[bow.indices], counts)
    ends = np.concatenate([[0], np.cumsum(counts)])[bow.indptr]
    for begin, end in pairwise(ends):
        if end > begin:
            yield tokens[begin:end].tolist()
