"""Texts without every occurrence of a word of theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from topiclab.data.words.places import WordPlaces, find_words
from topiclab.settings import Vocabulary


class MaskedWords:
    """Where the vocabulary's words stand in D texts, found once; `without` leaves some out."""

    def __init__(self, texts: Sequence[str], vocab: Sequence[str], vocabulary: Vocabulary) -> None:
        self.texts = texts
        self.places: WordPlaces = find_words(texts, vocab, vocabulary)
        self.offsets = self.places.offsets

    def without(self, docs: np.ndarray, words: np.ndarray) -> list[str]:
        """Text docs[i] without the word words[i]; -1 leaves it whole."""
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
    """So many words in a row from a random place of each longer text; shorter ones as they are."""
    found = []
    for text, share in zip(texts, generator.random(len(texts)).tolist(), strict=True):
        words = text.split()
        start = int(share * (len(words) - num_words + 1))
        found.append(" ".join(words[start : start + num_words]) if len(words) > num_words else text)
    return found


def draw_words(shares: sparse.csr_matrix, generator: np.random.Generator) -> np.ndarray:
    """(D,) int64, a word of each row by its shares; -1 for an empty row."""
    drawn = np.full(shares.get_shape()[0], -1, np.int64)
    filled = np.flatnonzero(np.diff(shares.indptr) > 0)
    sums = np.concatenate([[0.0], np.cumsum(shares.data)])
    starts, stops = shares.indptr[filled], shares.indptr[filled + 1]
    wanted = sums[starts] + generator.random(len(filled)) * (sums[stops] - sums[starts])
    places = np.clip(np.searchsorted(sums, wanted, side="right") - 1, starts, stops - 1)
    drawn[filled] = shares.indices[places]
    return drawn


def without_words(bow: sparse.csr_matrix, words: np.ndarray) -> sparse.csr_matrix:
    """Counts (D, V) without word words[d] of row d; -1 leaves a row whole."""
    rows = np.repeat(np.arange(bow.get_shape()[0]), np.diff(bow.indptr))
    left = sparse.csr_matrix(bow, copy=True)
    left.data = np.where(bow.indices == words[rows], 0, bow.data)
    left.eliminate_zeros()
    return left
