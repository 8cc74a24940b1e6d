"""Counts of words and word pairs in every document, from which topics are described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow
from scipy import sparse

from topiclab.data.corpus import Corpus
from topiclab.data.words.tokenizer import Tokens, tokenize
from topiclab.settings import Vocabulary

compute: Any = import_module("pyarrow.compute")  # its functions are created at import

BLOCK_TOKENS = 1 << 22  # tokens whose pairs are in memory at a time
NUM_BUCKETS = 1 << 22


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """Counts of N terms of a corpus in each of D documents.

    vocab: words in alphabetical order, then word pairs in the order of their words.
    matrix: CSR (D, N) int32, with sorted indices.
    parts: (N, 2) int32, the columns of a pair's two words; for a word its own column, twice.
    """

    vocab: tuple[str, ...]
    matrix: sparse.csr_matrix
    parts: np.ndarray

    @property
    def num_docs(self) -> int:
        return len(self.matrix.indptr) - 1

    @property
    def num_words(self) -> int:
        """Number of terms that are single words; these are the first columns."""
        return int((self.parts[:, 0] == np.arange(len(self.parts))).sum())


def ngram_counts(corpus: Corpus, vocabulary: Vocabulary, min_df: float, has_bigrams: bool) -> NgramCounts:
    """Count words and pairs of adjacent words of a corpus: its whole vocabulary, not the models' V words.

    min_df: minimum number of documents of a term (int), or their share (float).
    vocabulary: the group `data.vocabulary`, of which tokenizer, token_pattern, lowercase and stop_words are
    read.
    """
    min_docs = min_df * corpus.num_docs if isinstance(min_df, float) else min_df
    return count_ngrams(tokenize(corpus.texts, vocabulary), min_docs, has_bigrams)


def count_ngrams(tokens: Tokens, min_docs: float, has_bigrams: bool) -> NgramCounts:
    """Count the terms that occur in at least min_docs documents, as do both words of each pair.

    Besides the tokens and the result, memory holds one block of tokens and the pairs that may be frequent.
    """
    totals = np.bincount(tokens.ids, minlength=len(tokens.words))
    frequent = sorted(np.flatnonzero(totals >= max(min_docs, 1)).tolist(), key=tokens.words.__getitem__)
    column = np.full(len(tokens.words), -1, dtype=np.int32)
    column[frequent] = np.arange(len(frequent))
    ids = column[tokens.ids]
    matrix = _counts(ids, tokens.offsets, len(frequent))
    matrix, kept = _in_enough(matrix, min_docs)
    words = [tokens.words[frequent[word]] for word in kept.tolist()]
    parts = np.repeat(np.arange(len(words), dtype=np.int32)[:, None], 2, axis=1)
    if has_bigrams:
        column = np.full(len(frequent) + 1, -1, dtype=np.int32)  # the last entry is for ids of -1
        column[kept] = np.arange(len(words))
        pairs, pair_parts = _count_pairs(column[ids], tokens.offsets, len(words), min_docs)
        matrix = sparse.csr_matrix(sparse.hstack([matrix, pairs], format="csr", dtype=np.int32))
        parts = np.concatenate([parts, pair_parts])
        words += [f"{words[head]} {words[tail]}" for head, tail in pair_parts.tolist()]
    return NgramCounts(tuple(words), matrix, parts)


def _count_pairs(
    ids: np.ndarray, offsets: np.ndarray, num_words: int, min_docs: float
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts (D, P) of the pairs in at least min_docs documents, and their words (P, 2) int32.

    Ids of -1 form no pairs. Pairs are first counted in shared hash buckets, which never rejects a frequent
    pair (Park, Chen & Yu 1995): most pairs that occur once or twice are dropped before exact counting.
    """
    seen = np.zeros(NUM_BUCKETS, dtype=np.int64)
    for codes, _ in _pair_codes(ids, offsets, num_words):
        seen += np.bincount(_bucket(codes), minlength=NUM_BUCKETS)
    is_likely = seen >= max(min_docs, 1)
    likely = [
        _distinct(codes[is_likely[_bucket(codes)]]) for codes, _ in _pair_codes(ids, offsets, num_words)
    ]
    distinct = np.sort(_distinct(np.concatenate([np.zeros(0, dtype=np.int64), *likely])))
    known = pyarrow.array(distinct)
    blocks = [
        _counts(_places(codes, known), block_offsets, len(distinct))
        for codes, block_offsets in _pair_codes(ids, offsets, num_words)
    ]
    matrix, kept = _in_enough(sparse.csr_matrix(sparse.vstack(blocks, format="csr")), min_docs)
    parts = np.stack(np.divmod(distinct[kept], max(num_words, 1)), axis=1)
    return matrix, parts.astype(np.int32)


def _pair_codes(
    ids: np.ndarray, offsets: np.ndarray, num_words: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield head * num_words + tail (P,) int64 of the pairs in each block of documents, and their offsets."""
    num_docs = len(offsets) - 1
    first = 0
    while first < num_docs:
        last = int(np.searchsorted(offsets, offsets[first] + BLOCK_TOKENS, side="right")) - 1
        last = min(max(last, first + 1), num_docs)
        bounds = offsets[first : last + 1] - offsets[first]
        block = ids[offsets[first] : offsets[last]]
        is_pair = (block >= 0) & np.append(block[1:] >= 0, False)
        is_pair[bounds[1:][np.diff(bounds) > 0] - 1] = False  # the last word of a document begins no pair
        starts = np.flatnonzero(is_pair)
        yield block[starts].astype(np.int64) * num_words + block[starts + 1], np.searchsorted(starts, bounds)
        first = last


def _bucket(codes: np.ndarray) -> np.ndarray:
    mixed = codes.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(64 - NUM_BUCKETS.bit_length() + 1)).view(np.int64)


def _distinct(codes: np.ndarray) -> np.ndarray:
    """Distinct codes by first appearance; three times as fast as numpy, which sorts or hashes more slowly."""
    return pyarrow.array(codes).unique().to_numpy()


def _places(codes: np.ndarray, known: pyarrow.Array) -> np.ndarray:
    """Index of each code among the known ones, -1 for others: (P,) int32."""
    return compute.index_in(pyarrow.array(codes), value_set=known).fill_null(-1).to_numpy()


def _counts(ids: np.ndarray, offsets: np.ndarray, num_columns: int) -> sparse.csr_matrix:
    """Counts of the nonnegative ids of each document: CSR (D, num_columns) int32, with sorted indices."""
    kept = np.flatnonzero(ids >= 0)
    return Tokens([""] * num_columns, ids[kept], np.searchsorted(kept, offsets)).counts()


def _in_enough(matrix: sparse.csr_matrix, min_docs: float) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return the columns that occur in at least min_docs documents, and their indices."""
    in_docs = np.bincount(matrix.indices)
    kept = np.flatnonzero(in_docs >= max(min_docs, 1))
    return sparse.csr_matrix(matrix[:, kept]), kept
