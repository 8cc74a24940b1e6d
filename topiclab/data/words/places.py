"""WordPlaces: positions of vocabulary words in raw texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from topiclab.data.words.tokenizer import Tokens, tokenize_in_place
from topiclab.data.words.vocabulary import columns, ngram_lengths
from topiclab.settings import Vocabulary


@dataclass(frozen=True)
class WordPlaces:
    """M occurrences of vocabulary words in D texts, sorted by text, then by position.

    docs: (M,) int64 text.  words: (M,) int32 column of the vocabulary.
    starts, stops: (M,) int64, the range text[start:stop] in the original text; an n-gram spans from its first
    word to its last, including what is between them.
    """

    num_docs: int
    docs: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    def __len__(self) -> int:
        return len(self.docs)

    @property
    def offsets(self) -> np.ndarray:
        """(D + 1,) int64, text d owns the occurrences offsets[d]:offsets[d + 1]."""
        return np.searchsorted(self.docs, np.arange(self.num_docs + 1))

    def of_docs(self, start: int, stop: int) -> WordPlaces:
        """Occurrences in the texts start:stop, renumbered from 0."""
        rows = slice(*np.searchsorted(self.docs, (start, stop)))
        docs, words = self.docs[rows] - start, self.words[rows]
        return WordPlaces(stop - start, docs, words, self.starts[rows], self.stops[rows])


def find_words(texts: Iterable[str], vocab: Sequence[str], vocabulary: Vocabulary) -> WordPlaces:
    """Every occurrence that `vocabulary.count` counts; vocabulary is the group `data.vocabulary`."""
    tokens, spans = tokenize_in_place(texts, vocabulary)
    found = [_runs(tokens, spans, length, vocab) for length in ngram_lengths(vocabulary)]
    docs, words, starts, stops = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((stops, starts, docs))
    num_docs = len(tokens.offsets) - 1
    return WordPlaces(num_docs, docs[order], words[order], starts[order], stops[order])


def _runs(
    tokens: Tokens, spans: np.ndarray, length: int, vocab: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Text, word, start and stop of the runs of `length` tokens that are in the vocabulary."""
    grams = tokens.ngrams(length)
    num_runs = np.diff(grams.offsets)
    docs = np.repeat(np.arange(len(num_runs)), num_runs)
    first = np.arange(len(docs)) + (tokens.offsets[:-1] - grams.offsets[:-1])[docs]
    words = columns(grams.words, vocab)[grams.ids]
    known = words >= 0
    starts, stops = spans[first[known], 0], spans[first[known] + length - 1, 1]
    return docs[known], words[known], starts, stops
