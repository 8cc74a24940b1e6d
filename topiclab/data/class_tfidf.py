"""Class-based TF-IDF (Grootendorst 2022): how much a term says of a class of documents."""

from __future__ import annotations

import numpy as np


def rarity(totals: np.ndarray, num_classes: int) -> np.ndarray:
    """(N,) log(1 + mean terms a class / frequency of the term), of the frequencies (N,) over all classes."""
    return np.log1p(totals.sum() / num_classes / np.maximum(totals, 1))


def class_tfidf(frequencies: np.ndarray, totals: np.ndarray, num_classes: int) -> np.ndarray:
    """(n, N): the share of a term in a class times its `rarity`; 0 in a class without terms.

    frequencies: (n, N) float64 of some classes.  totals: (N,) over all of them.
    """
    mass = frequencies.sum(axis=1, keepdims=True)
    shares = np.divide(frequencies, mass, out=np.zeros_like(frequencies), where=mass > 0)
    return shares * rarity(totals, num_classes)
