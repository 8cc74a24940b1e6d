"""Read-out: how the words that describe a topic are ranked once a model is fitted."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from topiclab.result import to_distributions


def rank_by_usage(theta: np.ndarray, bow: sparse.csr_matrix, smoothing: float) -> np.ndarray:
    """Scores (K, V): how much likelier a word is in documents of the topic than in the corpus, in nats.

    theta: (N, K) proportions: a document counts for its topics in their proportions.
    bow: (N, V) counts of the same documents.
    smoothing: c in log((P_kv + c / V) / (p_v + c / V)); small values rank rare, exclusive words first (higher
        diversity), large ones frequent words (higher coherence).
    The score reads theta and counts only, so it does not depend on how a decoder scales its weights.
    """
    num_words = bow.get_shape()[1]
    usage = np.asarray((bow.T @ theta.astype(np.float64)).T)
    corpus = np.asarray(bow.sum(axis=0), dtype=np.float64).ravel() / bow.sum()
    floor = smoothing / num_words
    return np.log((to_distributions(usage, corpus) + floor) / (corpus + floor))
