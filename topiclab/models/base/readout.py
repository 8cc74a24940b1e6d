"""Read-out: ranking of the words that describe a topic, once a model is fitted."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from topiclab.result import to_distributions


def rank_by_usage(theta: np.ndarray, bow: sparse.csr_matrix, smoothing: float) -> np.ndarray:
    """Scores (K, V): log-ratio, in nats, of a word's probability in the topic's documents and in the corpus.

    theta: (N, K) proportions, by which a document counts towards its topics.
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
