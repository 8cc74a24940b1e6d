"""Components: documents that belong as a whole to one of several word distributions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.special import softmax

CHUNK = 2000  # documents


def component_posteriors(
    bow: sparse.csr_matrix, words: np.ndarray, weights: np.ndarray
) -> Iterator[np.ndarray]:
    """Posterior (CHUNK, C) of the component that generated all words of a document, chunk by chunk.

    words: (C, V) positive word distributions.  weights: (C,) positive; an empty document has their shares.
    """
    log_words, log_weights = np.log(words).T, np.log(weights)
    for start in range(0, bow.get_shape()[0], CHUNK):
        yield softmax(bow[start : start + CHUNK] @ log_words + log_weights, axis=1)
