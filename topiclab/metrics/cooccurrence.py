"""Cooccurrence: number of windows of a reference corpus that hold a word or a pair of words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from topiclab.cache import cached_arrays

if TYPE_CHECKING:
    from topiclab.data.corpus import Corpus

EXACT, GENSIM = "exact", "gensim"
MAX_DENSE_WORDS = 10_000  # a table of 400 MB; in larger vocabularies only requested words are counted


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """Boolean counts over the windows of a corpus.

    vocab: V words.
    word_counts: (V,) windows that hold the word.
    pair_counts: (V, V) windows that hold both words; symmetric, the diagonal equals word_counts.
    num_windows: all windows; a document shorter than the window, or empty, counts as one, as in gensim.
    window: tokens in a window; None if the window is the whole document.
    variant: "exact", or "gensim" for the counts of its WordOccurrenceAccumulator, which forgets a word as
        soon as one copy leaves the window even while another is inside. Whole documents are always exact.
    """

    vocab: tuple[str, ...]
    word_counts: np.ndarray
    pair_counts: np.ndarray
    num_windows: int
    window: int | None
    variant: str

    @cached_property
    def index(self) -> dict[str, int]:
        """Index in vocab of every word that occurs in some window."""
        return {word: place for place, word in enumerate(self.vocab) if self.word_counts[place] > 0}

    def ids(self, topics: Sequence[Sequence[str]]) -> np.ndarray:
        """Indices (K, T) of the topics' words in vocab; -1 for a word that occurs in no window."""
        return np.array([[self.index.get(word, -1) for word in words] for words in topics], dtype=np.int64)

    def absent(self, topics: Sequence[Sequence[str]]) -> list[str]:
        """Words of the topics that occur in no window, in alphabetical order."""
        return sorted({word for words in topics for word in words if word not in self.index})


_counted: WeakKeyDictionary[Corpus, dict[tuple[int | None, str], Cooccurrence]] = WeakKeyDictionary()


def cooccurrence(
    corpus: Corpus,
    window: int | None,
    variant: str = EXACT,
    *,
    words: Iterable[str] | None = None,
    cache_root: Path | None = None,
) -> Cooccurrence:
    """Counts over all documents of the corpus, computed once per corpus and process, and once per cache_root.

    words: restrict a vocabulary of more than MAX_DENSE_WORDS to these; such counts are quick and not cached.
    Raises ValueError for a window below one token, and for such a vocabulary if words is None.
    """
    if (window is not None and window < 1) or variant not in (EXACT, GENSIM):
        raise ValueError(
            f"window={window}, variant={variant!r}; expected tokens >= 1 or None, and exact or gensim"
        )
    variant = variant if window is not None else EXACT
    if corpus.num_words > MAX_DENSE_WORDS:
        if words is None:
            raise ValueError(
                f"a table over {corpus.num_words} words is too large (limit {MAX_DENSE_WORDS}); pass words="
            )
        wanted = set(words)
        is_wanted = np.array([word in wanted for word in corpus.vocab])
        return _named(corpus, is_wanted, window, variant, _count(corpus, window, variant, is_wanted))
    kept = _counted.setdefault(corpus, {})
    if (window, variant) not in kept:
        is_wanted = np.ones(corpus.num_words, dtype=bool)
        count = partial(_count, corpus, window, variant, is_wanted)
        if cache_root is None:
            tables = count()
        else:
            inputs = {"corpus": corpus.fingerprint, "tokens": token_fingerprint(corpus)}
            key = {**inputs, "window": window, "variant": variant}
            tables = cached_arrays(cache_root, "cooccurrence", key, count)
        kept[window, variant] = _named(corpus, is_wanted, window, variant, tables)
    return kept[window, variant]


def token_fingerprint(corpus: Corpus) -> str:
    """SHA-256 of the tokens in order, which the fingerprint of the corpus does not cover."""
    digest = hashlib.sha256(np.ascontiguousarray(corpus.token_ids, dtype=np.int32).data)
    digest.update(np.ascontiguousarray(corpus.token_offsets, dtype=np.int64).data)
    return digest.hexdigest()


def _named(
    corpus: Corpus, is_wanted: np.ndarray, window: int | None, variant: str, tables: dict[str, np.ndarray]
) -> Cooccurrence:
    return Cooccurrence(
        vocab=tuple(corpus.vocab[word] for word in np.flatnonzero(is_wanted)),
        word_counts=tables["word_counts"],
        pair_counts=tables["pair_counts"],
        num_windows=int(tables["num_windows"][0]),
        window=window,
        variant=variant,
    )


def _count(corpus: Corpus, window: int | None, variant: str, is_wanted: np.ndarray) -> dict[str, np.ndarray]:
    """word_counts, pair_counts and num_windows (1,) over the wanted words, in vocabulary order."""
    # imported here because importing numba takes half a second
    from topiclab.metrics.window_intervals import add_pairs, find_intervals, join_halves

    if len(corpus.token_ids) + corpus.num_docs >= 2**31:
        raise ValueError(
            f"{len(corpus.token_ids)} tokens overflow 32-bit counts; count a sample of the corpus"
        )
    num_wanted = int(is_wanted.sum())
    places = np.full(corpus.num_words + 1, -1, dtype=np.int32)  # the last entry is for token -1
    places[:-1][is_wanted] = np.arange(num_wanted)
    if window is None:  # each document is one window that holds all its words
        is_seen = (places[corpus.bow.indices] >= 0) & (corpus.bow.data > 0)
        words = places[corpus.bow.indices[is_seen]]
        rows = np.repeat(np.arange(corpus.num_docs, dtype=np.int32), np.diff(corpus.bow.indptr))
        firsts = lasts = rows[is_seen]
        num_windows = corpus.num_docs
    else:
        tokens, offsets = places[corpus.token_ids], np.array(corpus.token_offsets, dtype=np.int64)
        is_gensim = variant == GENSIM
        words, firsts, lasts, num_windows = find_intervals(tokens, offsets, num_wanted, window, is_gensim)
    pair_counts = np.zeros((num_wanted, num_wanted), dtype=np.int32)
    add_pairs(words, firsts, lasts, grouped(words, num_wanted), pair_counts)
    join_halves(pair_counts)
    return {
        "word_counts": pair_counts.diagonal().copy(),
        "pair_counts": pair_counts,
        "num_windows": np.array([num_windows]),
    }


def grouped(words: np.ndarray, num_words: int) -> np.ndarray:
    """Order (n,) of the window intervals that groups them by word, stable within a word."""
    return np.argsort(words.astype(np.min_scalar_type(num_words)), kind="stable")  # 16 bits: a radix sort
