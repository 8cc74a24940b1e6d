"""Counts of words and pairs of words in every document, from which topics are described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from scipy import sparse

from topiclab.data.corpus import Corpus
from topiclab.data.tokenizer import Tokens, tokenize


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """N terms of a corpus and how often each of D documents says them.

    vocab: words in alphabetical order, then pairs of words in the order of their words.
    matrix: CSR (D, N) int32, sorted indices.
    parts: (N, 2) int32, the columns of a pair's two words; of a word its own, twice.
    """

    vocab: tuple[str, ...]
    matrix: sparse.csr_matrix
    parts: np.ndarray

    @property
    def num_docs(self) -> int:
        return len(self.matrix.indptr) - 1

    @property
    def num_words(self) -> int:
        """Terms that are single words; they are the first columns."""
        return int((self.parts[:, 0] == self.parts[:, 1]).sum())


def ngram_counts(corpus: Corpus, options: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> NgramCounts:
    """Words and neighbouring pairs of a corpus; its whole vocabulary, not the V words of the models.

    options: min_df, the fewest documents of a term (an int, or a share of them as a float); has_bigrams.
    vocabulary: the group `data.vocabulary`; tokenizer, token_pattern, lowercase and stop_words are read here.
    """
    limit = options["min_df"]
    fewest = limit * corpus.num_docs if isinstance(limit, float) else limit
    return count_ngrams(tokenize(corpus.texts, vocabulary), fewest, options["has_bigrams"])


def count_ngrams(tokens: Tokens, fewest: float, has_bigrams: bool) -> NgramCounts:
    """Terms in at least `fewest` documents. A pair is kept only with its words, which are in as many."""
    counts = tokens.counts()
    in_docs = np.bincount(counts.indices, minlength=len(tokens.words))
    kept = np.array(
        sorted(np.flatnonzero(in_docs >= max(fewest, 1)), key=tokens.words.__getitem__), dtype=np.int64
    )
    words = [tokens.words[word] for word in kept]
    matrix = sparse.csr_matrix(counts[:, kept])
    parts = np.repeat(np.arange(len(words), dtype=np.int32)[:, None], 2, axis=1)
    if has_bigrams:
        column = np.full(len(tokens.words), -1, dtype=np.int64)
        column[kept] = np.arange(len(kept))
        pairs, pair_parts = _count_pairs(column[tokens.ids], tokens.offsets, len(words), fewest)
        matrix = sparse.csr_matrix(sparse.hstack([matrix, pairs], format="csr", dtype=np.int32))
        parts = np.concatenate([parts, pair_parts])
        words += [f"{words[head]} {words[tail]}" for head, tail in pair_parts.tolist()]
    matrix.sort_indices()
    return NgramCounts(tuple(words), matrix, parts)


def _count_pairs(
    ids: np.ndarray, offsets: np.ndarray, num_words: int, fewest: float
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts (D, P) of the pairs in enough documents, and their words (P, 2) int32; ids of -1 make none."""
    is_pair = (ids[:-1] >= 0) & (ids[1:] >= 0)
    inner = offsets[1:-1]
    is_pair[inner[(inner > 0) & (inner < len(ids))] - 1] = False
    starts = np.flatnonzero(is_pair)
    codes = ids[starts] * num_words + ids[starts + 1]
    encoded = pyarrow.array(codes).dictionary_encode()
    distinct, places = encoded.dictionary.to_numpy(), encoded.indices.to_numpy()
    found = Tokens([""] * len(distinct), places, np.searchsorted(starts, offsets))
    counts = found.counts()
    in_docs = np.bincount(counts.indices, minlength=len(distinct))
    kept = np.flatnonzero(in_docs >= max(fewest, 1))
    kept = kept[np.argsort(distinct[kept])]
    parts = np.stack(np.divmod(distinct[kept], max(num_words, 1)), axis=1).astype(np.int32)
    return sparse.csr_matrix(counts[:, kept]), parts
