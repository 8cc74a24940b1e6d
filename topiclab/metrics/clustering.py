"""Topics as clusters of labelled documents, and predicted labels against true ones."""

from __future__ import annotations

import numpy as np
from sklearn import metrics
from sklearn.metrics.cluster import contingency_matrix

from topiclab.metrics.undefined import UndefinedMetric


def purity(labels: np.ndarray, topics: np.ndarray) -> float:
    """Share of labelled documents whose label is the most frequent one of their topic, in (0, 1]."""
    labels, topics = _labelled(labels, topics)
    return float(contingency_matrix(labels, topics).max(axis=0).sum() / len(labels))


def inverse_purity(labels: np.ndarray, topics: np.ndarray) -> float:
    """Share of labelled documents whose topic is the most frequent one of their label, in (0, 1]."""
    labels, topics = _labelled(labels, topics)
    return float(contingency_matrix(labels, topics).max(axis=1).sum() / len(labels))


def purity_f(labels: np.ndarray, topics: np.ndarray) -> float:
    """Harmonic mean of purity, which more topics raise, and inverse purity, which fewer raise."""
    pure, inverse = purity(labels, topics), inverse_purity(labels, topics)
    return 2 * pure * inverse / (pure + inverse)


def normalized_mutual_information(labels: np.ndarray, topics: np.ndarray) -> float:
    """Mutual information divided by the mean entropy, in [0, 1], over the labelled documents."""
    return float(metrics.normalized_mutual_info_score(*_labelled(labels, topics)))


def adjusted_rand_index(labels: np.ndarray, topics: np.ndarray) -> float:
    """Agreement over pairs of documents, 0 at chance, at most 1, over the labelled documents."""
    return float(metrics.adjusted_rand_score(*_labelled(labels, topics)))


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of labelled documents with the right prediction."""
    return float(metrics.accuracy_score(*_labelled(labels, predictions)))


def macro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean F1 over all true or predicted labels of labelled documents; 0 for a label that is never right."""
    return float(metrics.f1_score(*_labelled(labels, predictions), average="macro", zero_division=0))  # type: ignore[reportArgumentType]


def topics_used(topics: np.ndarray) -> int:
    """Number of topics that are the strongest topic of some document."""
    return len(np.unique(topics))


def _labelled(labels: np.ndarray, guesses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (D,) arrays without documents of label -1; UndefinedMetric unless two labels remain."""
    is_labelled = labels >= 0
    num_labels = len(np.unique(labels[is_labelled]))
    if num_labels < 2:
        raise UndefinedMetric(
            "the metric needs documents of at least two labels; there "
            f"{'is' if num_labels == 1 else 'are'} {num_labels}"
        )
    return labels[is_labelled], guesses[is_labelled]
