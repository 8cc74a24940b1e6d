"""Document completion: how well half of a document's tokens foretell the other half, for any topics."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from topiclab.models.base.classical_model import words_nll
from topiclab.models.sampling.fold_in import fold_in

FLOOR = 1e-8  # of a word's probability, which other read-outs may leave at 0


def completion_perplexity(
    beta: np.ndarray, alpha: np.ndarray, bow: sparse.csr_matrix, seed: int = 0
) -> float:
    """Perplexity of a random half of the tokens of bow (D, V) under theta folded in from the other half.

    One rule for all models: word distributions beta (K, V), prior alpha (K,), maximum a posteriori theta;
    theta never sees a token that is scored. Documents of fewer than two tokens count for nothing.
    """
    seen, scored = halves(bow, seed)
    kept = np.maximum(beta.astype(np.float64), FLOOR)
    kept /= kept.sum(axis=1, keepdims=True)
    rows = np.flatnonzero((np.diff(seen.indptr) > 0) & (np.diff(scored.indptr) > 0))
    theta = fold_in(seen[rows], kept, alpha)
    return float(np.exp(words_nll(theta, kept, scored[rows]).sum() / scored[rows].sum()))


def halves(bow: sparse.csr_matrix, seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Two parts of the tokens of bow, every token in one of them by a fair coin."""
    tokens = np.asarray(bow.data, dtype=np.int32)
    heads = np.random.default_rng(seed).binomial(tokens, 0.5).astype(np.int32)
    first, second = bow.copy(), bow.copy()
    first.data, second.data = heads, tokens - heads
    for part in (first, second):
        part.eliminate_zeros()
    return first, second
