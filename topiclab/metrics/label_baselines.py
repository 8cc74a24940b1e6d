"""Baselines for predicting labels of texts with a language model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

MAX_ITERATIONS = 300


def majority_accuracy(train_labels: Sequence[str], labels: Sequence[str]) -> float:
    """Accuracy of always predicting the most frequent training label (ties: alphabetical)."""
    names, counts = np.unique(np.asarray(train_labels), return_counts=True)
    return float(np.mean(np.asarray(labels) == names[counts.argmax()]))


def tfidf_accuracy(
    train_texts: Sequence[str], train_labels: Sequence[str], texts: Sequence[str], labels: Sequence[str]
) -> float:
    """Accuracy of a logistic regression on TF-IDF, fitted to the training texts; majority for one label."""
    if len(set(train_labels)) < 2:
        return majority_accuracy(train_labels, labels)
    classifier = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        LogisticRegression(C=10.0, max_iter=MAX_ITERATIONS),
    )
    return float(np.mean(classifier.fit(train_texts, train_labels).predict(texts) == np.asarray(labels)))
