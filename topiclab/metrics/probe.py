"""Linear probes: how well labels of held-out documents follow from features of documents."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from topiclab.metrics import clustering
from topiclab.metrics.undefined import UndefinedMetric

MAX_ITERATIONS, TOLERANCE = 100, 1e-3


@dataclass(frozen=True)
class Probe:
    """Accuracy and macro F1, in [0, 1], of a probe on held-out documents."""

    accuracy: float
    macro_f1: float


def linear_probe(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> Probe:
    """Multinomial logistic regression (C=1) of labels on standardised features, fitted to training documents.

    features: (D, E).  labels: (D,), -1 where a document has none.  train, test: rows.
    Raises UndefinedMetric unless two labels are in the training documents and in the held-out ones.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train = train[labels[train] >= 0]
    if len(np.unique(labels[train])) < 2:
        raise UndefinedMetric("a probe needs training documents of at least two labels")
    if not len(test):
        raise UndefinedMetric("the split has no documents")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS, tol=TOLERANCE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.asarray(features[train], dtype=np.float32), labels[train])
    guesses = model.predict(np.asarray(features[test], dtype=np.float32))
    found = labels[test]
    return Probe(clustering.accuracy(found, guesses), clustering.macro_f1(found, guesses))


def majority(labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Accuracy on held-out documents of the most frequent training label (ties: the first).

    labels: (D,), -1 where a document has none.  Raises UndefinedMetric as `linear_probe` does.
    """
    counts = np.bincount(labels[train][labels[train] >= 0])
    if not len(counts):
        raise UndefinedMetric("the training documents have no labels")
    return clustering.accuracy(labels[test], np.full(len(test), counts.argmax()))
