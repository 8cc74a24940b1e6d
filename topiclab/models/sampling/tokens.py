"""Tokens: documents as tomotopy reads them, and the words that it counts in a topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse


def token_lists(bow: sparse.csr_matrix) -> Iterator[list[str]]:
    """Tokens of every non-empty document, each word written as its index."""
    names = np.array([str(word) for word in range(bow.get_shape()[1])], dtype=object)
    counts = np.asarray(bow.data, dtype=np.int64)
    tokens = np.repeat(names[bow.indices], counts)
    ends = np.concatenate([[0], np.cumsum(counts)])[bow.indptr]
    for begin, end in pairwise(ends):
        if end > begin:
            yield tokens[begin:end].tolist()


def topic_counts(sampler: Any, num_words: int, topics: Sequence[int] | None = None) -> np.ndarray:
    """Tokens of each word in each topic, plus eta; (K, V) float64. A word never seen has eta only.

    topics: their numbers in the sampler; None is all of them.
    """
    numbers = range(sampler.k) if topics is None else topics
    seen = np.array([int(word) for word in sampler.used_vocabs])
    counts = np.full((len(numbers), num_words), sampler.eta, dtype=np.float64)
    for row, topic in enumerate(numbers):
        counts[row, seen] = sampler.get_topic_word_dist(topic, normalize=False)
    return counts
