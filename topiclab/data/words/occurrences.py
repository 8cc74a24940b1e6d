"""Occurrences: a vector for every single occurrence of a vocabulary word in a corpus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

CHUNK_WORDS = 65_536


@dataclass(frozen=True)
class Occurrences:
    """Last hidden states at M occurrences of V words in D texts, sorted by text, then by position.

    vectors: (M, H) float16, memory-mapped where possible.  words: (M,) int32 column of the vocabulary.
    docs: (M,) int32.  key: sha256 of texts, vocabulary and model; None for texts outside a corpus.
    manifest: what ran, num_places (occurrences in the texts) and num_beyond (those the model does not read).
    """

    vectors: np.ndarray
    words: np.ndarray
    docs: np.ndarray
    num_docs: int
    num_words: int
    key: str | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    is_cached: bool = False

    def counts(self) -> sparse.csr_matrix:
        """Number of occurrences of each word in each text, CSR (D, V) int32."""
        ones = np.ones(len(self.words), np.int32)
        shape = (self.num_docs, self.num_words)
        return sparse.csr_matrix((ones, (self.docs, self.words)), shape=shape)

    def reach(self) -> dict[str, int]:
        """Number of occurrences in the texts, and number of those beyond what the model reads."""
        return {name: self.manifest[name] for name in ("num_places", "num_beyond")}

    def word_means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean vector of each word's occurrences, (V, H) float32, 0 without any; and their number, (V,)."""
        sums = np.zeros((self.num_words, self.vectors.shape[1]))
        for start in range(0, len(self.words), CHUNK_WORDS):
            words = self.words[start : start + CHUNK_WORDS]
            of_word = sparse.csr_matrix(
                (np.ones(len(words), np.float32), (words, np.arange(len(words)))),
                shape=(self.num_words, len(words)),
            )
            sums += of_word @ np.asarray(self.vectors[start : start + CHUNK_WORDS], np.float32)
        counts = np.bincount(self.words, minlength=self.num_words)
        return (sums / np.maximum(counts, 1)[:, None]).astype(np.float32), counts
