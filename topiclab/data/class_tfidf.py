"""Class-based TF-IDF (Grootendorst 2022): how characteristic a term is of a class of documents."""

from __future__ import annotations

import numpy as np


def rarity(totals: np.ndarray, num_classes: int) -> np.ndarray:
    """log(1 + mean number of terms per class / frequency), (N,); totals: frequencies (N,) in all classes."""
    return np.log1p(totals.sum() / num_classes / np.maximum(totals, 1))


def class_tfidf(frequencies: np.ndarray, totals: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of each term in each class times its `rarity`, (n, N); 0 in a class without terms.

    frequencies: (n, N) float64 of some classes.  totals: (N,) over all of them.
    """
    mass = frequencies.sum(axis=1, keepdims=True)
    shares = np.divide(frequencies, mass, out=np.zeros_like(frequencies), where=mass > 0)
    return shares * rarity(totals, num_classes)
