"""Similarity of documents and words that lie in one space, as logits over the words."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from topiclab.data.unit_rows import unit_rows

Centring = Literal["raw", "centred", "zscore"]
# A cosine of MiniLM is sharp enough at temperature .05, its z-score at .5; divided by these, both suit 1.
TEMPERATURES = {"raw": 0.05, "centred": 0.05, "zscore": 0.5}


class Similarity:
    """Cosines of documents and words, scaled so that their softmax at temperature 1 is a usable distribution.

    documents: (D, E); words: (V, E); rows of any length; a row of 0 has no direction.
    train_rows: (N,) the documents from which mean, spread and word shares are taken.
    centring: `raw` cosines; `centred`: minus each word's mean over the documents; `zscore`: also divided by
    its standard deviation, so that every word is likely for equally many documents.
    word_shares: (V,) prior of the words, whose logarithm is added, or None for a uniform one.

    A word without direction or of share 0 is impossible (-inf); a document without direction is treated as
    the average training document.
    """

    def __init__(
        self,
        documents: np.ndarray,
        words: np.ndarray,
        train_rows: np.ndarray,
        centring: Centring,
        word_shares: np.ndarray | None = None,
    ) -> None:
        self.documents, words = unit_rows(documents), unit_rows(words)
        train = self.documents[train_rows]
        train = train[train.any(axis=1)].astype(np.float64)
        mean = train.mean(axis=0) if len(train) else np.zeros(words.shape[1])
        self.mean = mean.astype(np.float32)
        scale = np.full(len(words), TEMPERATURES[centring])
        if centring == "zscore":  # the spread of a word's cosine follows from the covariance
            covariance = (train - mean).T @ (train - mean) / max(len(train), 1)
            spread = np.sqrt(np.einsum("ve,ve->v", words @ covariance, words).clip(0))
            scale = scale * np.where(spread > 1e-6, spread, 1)
        self.weights = (words / scale[:, None]).astype(np.float32)
        self.offsets = np.zeros(len(words), np.float32) if centring == "raw" else -self.weights @ self.mean
        is_possible = words.any(axis=1)
        if word_shares is not None:
            is_possible &= word_shares > 0
            self.offsets = self.offsets + np.log(np.where(is_possible, word_shares, 1)).astype(np.float32)
        if not is_possible.any():
            raise ValueError(
                "no word of the vocabulary has a vector, so similarity says nothing; use teacher=neighbours"
            )
        self.offsets = np.where(is_possible, self.offsets, -np.inf).astype(np.float32)

    def facts(self) -> dict[str, Any]:
        """Facts for the manifest."""
        return {
            "words_without_label": int(np.isneginf(self.offsets).sum()),
            "documents_without_vector": int((~self.documents.any(axis=1)).sum()),
        }

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits (n, V) float32 of the given rows."""
        documents = self.documents[rows]
        documents[~documents.any(axis=1)] = self.mean
        return documents @ self.weights.T + self.offsets
