"""Document completion: how well half of a document's tokens predict the other half, for any topics."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from topiclab.models.base.classical_model import words_nll
from topiclab.models.sampling.fold_in import fold_in

FLOOR = 1e-8  # of word probabilities, which can be 0 in other models


def completion_perplexity(
    beta: np.ndarray, alpha: np.ndarray, bow: sparse.csr_matrix, seed: int = 0
) -> float:
    """Perplexity of a random half of the tokens of bow (D, V) under theta folded in from the other half.

    The same rule for all models: word distributions beta (K, V), prior alpha (K,), maximum a posteriori
    theta; theta never depends on a scored token. Documents with an empty half are left out.
    """
    seen, scored = halves(bow, seed)
    kept = np.maximum(beta.astype(np.float64), FLOOR)
    kept /= kept.sum(axis=1, keepdims=True)
    rows = np.flatnonzero((np.diff(seen.indptr) > 0) & (np.diff(scored.indptr) > 0))
    theta = fold_in(seen[rows], kept, alpha)
    return float(np.exp(words_nll(theta, kept, scored[rows]).sum() / scored[rows].sum()))


def halves(bow: sparse.csr_matrix, seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Random split of the tokens of bow into two parts, by a fair coin for each token."""
    tokens = np.asarray(bow.data, dtype=np.int32)
    heads = np.random.default_rng(seed).binomial(tokens, 0.5).astype(np.int32)
    first, second = bow.copy(), bow.copy()
    first.data, second.data = heads, tokens - heads
    for part in (first, second):
        part.eliminate_zeros()
    return first, second
