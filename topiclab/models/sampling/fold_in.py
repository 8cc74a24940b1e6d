"""Fold-in: topic proportions of documents under fixed topics and priors."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import sparse

MAX_STEPS, TOLERANCE = 500, 1e-5


def fold_in(bow: sparse.csr_matrix, beta: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Proportions (D, K) float32 that maximise sum_w n_w log(theta beta)_w + sum_k alpha_k log theta_k.

    beta: (K, V), positive.  alpha: (K,), positive; the maximum is the mode under a Dirichlet(alpha + 1).
    The objective is strictly concave in theta, so EM finds the unique maximum from any start: the result
    depends only on the document's own counts. Iteration stops when no proportion changes by 1e-5 or more.
    """
    words = np.ascontiguousarray(beta.T, dtype=np.float64)
    counts = bow.data.astype(np.float64)
    return _fold_in(bow.indptr, bow.indices, counts, words, np.asarray(alpha, dtype=np.float64))


@njit(cache=True)
def _fold_in(
    indptr: np.ndarray, indices: np.ndarray, counts: np.ndarray, words: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """`fold_in` on the arrays of a CSR matrix; words: (V, K)."""
    theta = np.empty((len(indptr) - 1, len(alpha)), np.float32)
    for doc in range(len(theta)):
        begin, end = indptr[doc], indptr[doc + 1]
        mass = counts[begin:end].sum() + alpha.sum()
        proportions = alpha / alpha.sum()
        for _ in range(MAX_STEPS):
            moved = alpha.copy()
            for place in range(begin, end):
                share = proportions * words[indices[place]]
                moved += share * (counts[place] / share.sum())
            moved /= mass
            change = np.abs(moved - proportions).max()
            proportions = moved
            if change < TOLERANCE:
                break
        theta[doc] = proportions
    return theta
