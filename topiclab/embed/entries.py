"""The cache entry of a corpus's vectors: its kind and the names of its arrays."""

from __future__ import annotations

import numpy as np

from topiclab.cache import Entry

KIND = "embeddings"
VECTORS = "vectors"
ROWS = "rows"  # row of every text among the distinct ones, if the corpus repeats texts


def load_vectors(entry: Entry) -> np.ndarray:
    """(D, E) in corpus order; memory-mapped unless the corpus repeats texts."""
    arrays = entry.arrays()
    return arrays[VECTORS][arrays[ROWS]] if ROWS in arrays else arrays[VECTORS]
