"""Texts with every occurrence of one of their words removed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from topiclab.data.words.places import WordPlaces, find_words
from topiclab.settings import Vocabulary


class MaskedWords:
    """Places of the vocabulary's words in D texts, found once; `without` removes some of them."""

    def __init__(self, texts: Sequence[str], vocab: Sequence[str], vocabulary: Vocabulary) -> None:
        self.texts = texts
        self.places: WordPlaces = find_words(texts, vocab, vocabulary)
        self.offsets = self.places.offsets

    def without(self, docs: np.ndarray, words: np.ndarray) -> list[str]:
        """Texts docs[i] without the word words[i]; -1 removes nothing."""
        return [self._one(doc, word) for doc, word in zip(docs.tolist(), words.tolist(), strict=True)]

    def _one(self, doc: int, word: int) -> str:
        text, kept, at = self.texts[doc], [], 0
        span = slice(self.offsets[doc], self.offsets[doc + 1])
        found = self.places.words[span] == word
        starts, stops = self.places.starts[span][found], self.places.stops[span][found]
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            kept.append(text[at:start])
            at = max(at, stop)
        return " ".join("".join([*kept, text[at:]]).split()) if kept else text


def stretches(texts: Sequence[str], num_words: int, generator: np.random.Generator) -> list[str]:
    """num_words consecutive words from a random place of each longer text; shorter texts unchanged."""
    found = []
    for text, share in zip(texts, generator.random(len(texts)).tolist(), strict=True):
        words = text.split()
        start = int(share * (len(words) - num_words + 1))
        found.append(" ".join(words[start : start + num_words]) if len(words) > num_words else text)
    return found


def draw_words(shares: sparse.csr_matrix, generator: np.random.Generator) -> np.ndarray:
    """(D,) int64, a word per row, drawn by its shares; -1 for an empty row."""
    drawn = np.full(shares.get_shape()[0], -1, np.int64)
    filled = np.flatnonzero(np.diff(shares.indptr) > 0)
    sums = np.concatenate([[0.0], np.cumsum(shares.data)])
    starts, stops = shares.indptr[filled], shares.indptr[filled + 1]
    wanted = sums[starts] + generator.random(len(filled)) * (sums[stops] - sums[starts])
    places = np.clip(np.searchsorted(sums, wanted, side="right") - 1, starts, stops - 1)
    drawn[filled] = shares.indices[places]
    return drawn


def without_words(bow: sparse.csr_matrix, words: np.ndarray) -> sparse.csr_matrix:
    """Counts (D, V) without word words[d] in row d; -1 removes nothing."""
    rows = np.repeat(np.arange(bow.get_shape()[0]), np.diff(bow.indptr))
    left = sparse.csr_matrix(bow, copy=True)
    left.data = np.where(bow.indices == words[rows], 0, bow.data)
    left.eliminate_zeros()
    return left
