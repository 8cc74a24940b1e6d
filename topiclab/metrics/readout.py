"""Read-out: ranking of the words that describe a topic, once a model is fitted.

A model has its own (`top_words`): by usage for the neural models, by beta for the others. Coherence depends
on the read-out as much as on the model, so a table compares models by `usage_words` or by `beta_words`.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from topiclab.metrics.undefined import UndefinedMetric
from topiclab.result import TopicResult, rank_words, to_distributions

# Of `usage_words`, the same for all models: the default of etm, fastopic and nstm.
USAGE_SMOOTHING = 5.0


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


def usage_words(
    result: TopicResult,
    rows: np.ndarray,
    bow: sparse.csr_matrix,
    num: int,
    smoothing: float = USAGE_SMOOTHING,
) -> np.ndarray:
    """Ids (K, min(num, V)) of the first words by usage in the training documents, for any model.

    rows: of the training documents in result.theta.  bow: (D, V) counts of all documents.
    """
    counts = bow[rows]
    if not counts.sum():
        raise UndefinedMetric("the training documents contain no word of the vocabulary")
    return rank_words(rank_by_usage(result.theta[rows], counts, smoothing), num)


def beta_words(result: TopicResult, num: int) -> np.ndarray:
    """Ids (K, min(num, V)) of the first words by beta, for any model."""
    return rank_words(result.beta, num)
