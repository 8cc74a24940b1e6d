"""Counts of words and pairs of words in every document, from which topics are described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow
from scipy import sparse

from topiclab.data.corpus import Corpus
from topiclab.data.words.tokenizer import Tokens, tokenize
from topiclab.settings import Vocabulary

compute: Any = import_module("pyarrow.compute")  # whose functions are made at its import

BLOCK_TOKENS = 1 << 22  # whose pairs are in memory at a time
NUM_BUCKETS = 1 << 22


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
        return int((self.parts[:, 0] == np.arange(len(self.parts))).sum())


def ngram_counts(corpus: Corpus, options: Mapping[str, Any], vocabulary: Vocabulary) -> NgramCounts:
    """Words and neighbouring pairs of a corpus; its whole vocabulary, not the V words of the models.

    options: min_df, the fewest documents of a term (an int, or a share of them as a float); has_bigrams.
    vocabulary: the group `data.vocabulary`; tokenizer, token_pattern, lowercase and stop_words are read here.
    """
    limit = options["min_df"]
    fewest = limit * corpus.num_docs if isinstance(limit, float) else limit
    return count_ngrams(tokenize(corpus.texts, vocabulary), fewest, options["has_bigrams"])


def count_ngrams(tokens: Tokens, fewest: float, has_bigrams: bool) -> NgramCounts:
    """Terms in at least `fewest` documents; both words of a pair are in as many.

    Beside the tokens and the result, memory holds one block of tokens and the pairs that may be frequent.
    """
    totals = np.bincount(tokens.ids, minlength=len(tokens.words))
    frequent = sorted(np.flatnonzero(totals >= max(fewest, 1)).tolist(), key=tokens.words.__getitem__)
    column = np.full(len(tokens.words), -1, dtype=np.int32)
    column[frequent] = np.arange(len(frequent))
    ids = column[tokens.ids]
    matrix = _counts(ids, tokens.offsets, len(frequent))
    matrix, kept = _in_enough(matrix, fewest)
    words = [tokens.words[frequent[word]] for word in kept.tolist()]
    parts = np.repeat(np.arange(len(words), dtype=np.int32)[:, None], 2, axis=1)
    if has_bigrams:
        column = np.full(len(frequent) + 1, -1, dtype=np.int32)  # the last one is for ids of -1
        column[kept] = np.arange(len(words))
        pairs, pair_parts = _count_pairs(column[ids], tokens.offsets, len(words), fewest)
        matrix = sparse.csr_matrix(sparse.hstack([matrix, pairs], format="csr", dtype=np.int32))
        parts = np.concatenate([parts, pair_parts])
        words += [f"{words[head]} {words[tail]}" for head, tail in pair_parts.tolist()]
    return NgramCounts(tuple(words), matrix, parts)


def _count_pairs(
    ids: np.ndarray, offsets: np.ndarray, num_words: int, fewest: float
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts (D, P) of the pairs in enough documents, and their words (P, 2) int32; ids of -1 make none.

    Pairs are first counted in buckets that several share, which never tells of one that it is too rare when
    it is not (Park, Chen & Yu 1995): most that occur once or twice are gone before they are told apart.
    """
    seen = np.zeros(NUM_BUCKETS, dtype=np.int64)
    for codes, _ in _pair_codes(ids, offsets, num_words):
        seen += np.bincount(_bucket(codes), minlength=NUM_BUCKETS)
    is_likely = seen >= max(fewest, 1)
    likely = [
        _distinct(codes[is_likely[_bucket(codes)]]) for codes, _ in _pair_codes(ids, offsets, num_words)
    ]
    distinct = np.sort(_distinct(np.concatenate([np.zeros(0, dtype=np.int64), *likely])))
    known = pyarrow.array(distinct)
    blocks = [
        _counts(_places(codes, known), block_offsets, len(distinct))
        for codes, block_offsets in _pair_codes(ids, offsets, num_words)
    ]
    matrix, kept = _in_enough(sparse.csr_matrix(sparse.vstack(blocks, format="csr")), fewest)
    parts = np.stack(np.divmod(distinct[kept], max(num_words, 1)), axis=1)
    return matrix, parts.astype(np.int32)


def _pair_codes(
    ids: np.ndarray, offsets: np.ndarray, num_words: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers head * num_words + tail (P,) int64 of the pairs of a block of documents, and their offsets."""
    num_docs = len(offsets) - 1
    first = 0
    while first < num_docs:
        last = int(np.searchsorted(offsets, offsets[first] + BLOCK_TOKENS, side="right")) - 1
        last = min(max(last, first + 1), num_docs)
        bounds = offsets[first : last + 1] - offsets[first]
        block = ids[offsets[first] : offsets[last]]
        is_pair = (block >= 0) & np.append(block[1:] >= 0, False)
        is_pair[bounds[1:][np.diff(bounds) > 0] - 1] = False  # the last word of a document begins none
        starts = np.flatnonzero(is_pair)
        yield block[starts].astype(np.int64) * num_words + block[starts + 1], np.searchsorted(starts, bounds)
        first = last


def _bucket(codes: np.ndarray) -> np.ndarray:
    mixed = codes.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(64 - NUM_BUCKETS.bit_length() + 1)).view(np.int64)


def _distinct(codes: np.ndarray) -> np.ndarray:
    """By first appearance; three times as fast as numpy's, which sorts or has a slower table."""
    return pyarrow.array(codes).unique().to_numpy()


def _places(codes: np.ndarray, known: pyarrow.Array) -> np.ndarray:
    """Place of each code in the known ones, -1 for others: (P,) int32."""
    return compute.index_in(pyarrow.array(codes), value_set=known).fill_null(-1).to_numpy()


def _counts(ids: np.ndarray, offsets: np.ndarray, num_columns: int) -> sparse.csr_matrix:
    """How often each document has each id from 0 on: CSR (D, num_columns) int32, sorted indices."""
    kept = np.flatnonzero(ids >= 0)
    return Tokens([""] * num_columns, ids[kept], np.searchsorted(kept, offsets)).counts()


def _in_enough(matrix: sparse.csr_matrix, fewest: float) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The columns in at least `fewest` documents, and which they are."""
    in_docs = np.bincount(matrix.indices)
    kept = np.flatnonzero(in_docs >= max(fewest, 1))
    return sparse.csr_matrix(matrix[:, kept]), kept
