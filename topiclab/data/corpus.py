"""Corpus: documents, vocabulary, sparse counts, tokens in order, labels and the split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from topiclab.data.covariates import Covariates
from topiclab.data.dropped import Dropped

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Corpus:
    """One corpus, frozen; D documents, V words, T tokens.

    ids, texts: D strings; texts are raw, as the embedder reads them, and never blank.
    vocab: V words by descending frequency, ties in alphabetical order.
    bow: CSR (D, V) int32 counts; a document without known words keeps its (empty) row.
    token_ids: (T,) int32, all documents' tokens after stop words in text order, -1 outside the vocabulary.
    token_offsets: (D + 1,) int64, document d owns token_ids[token_offsets[d]:token_offsets[d + 1]].
    split: (D,) int8 index into SPLITS.
    labels: (D,) int64 index into label_names, -1 where a document has none; None for a corpus without labels.
    timestamps: (D,) datetime64[s] in UTC, NaT where missing; None for a corpus without times.
    titles: D strings as the source has them, "" where one is missing; None for a corpus without titles. No
        model reads them, and they enter no fingerprint.
    covariates: of D documents; None for a corpus without. They enter the fingerprint where they are given.
    info: plain facts about how it was made (dropped documents, duplicates, ...).
    source_rows: (D,) int64 ascending, number of each document's record in the source, from 0; blank and
        repeated records count. None: the documents are all that the source holds.
    dropped: the other records of the source. Neither enters a fingerprint.
    """

    name: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    vocab: tuple[str, ...]
    bow: sparse.csr_matrix
    token_ids: np.ndarray
    token_offsets: np.ndarray
    split: np.ndarray
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    timestamps: np.ndarray | None = None
    titles: tuple[str, ...] | None = None
    covariates: Covariates | None = None
    info: dict[str, Any] = field(default_factory=dict)
    source_rows: np.ndarray | None = None
    dropped: Dropped = field(default_factory=Dropped)

    @property
    def num_docs(self) -> int:
        return len(self.texts)

    @property
    def num_words(self) -> int:
        return len(self.vocab)

    @property
    def known_words(self) -> np.ndarray:
        """Number of vocabulary words in each document, repeated ones counted, (D,) int64."""
        return np.asarray(self.bow.sum(axis=1), dtype=np.int64).ravel()

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def with_known_words(self) -> Corpus:
        """This corpus with every text reduced to its vocabulary words, in order.

        A document without known words has the empty text.
        """
        return replace(self, texts=tuple(known_words(self.vocab, self.token_ids, self.token_offsets)))

    @cached_property
    def text_fingerprint(self) -> str:
        """sha256 over the texts in order: what an embedding depends on."""
        return text_fingerprint(self.texts)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over texts, tokens, counts, vocabulary, split, labels and covariates: what a run reads."""
        counts = (self.bow.indptr, self.bow.indices, self.bow.data)
        arrays = [*counts, self.token_ids, self.token_offsets, self.split]
        arrays += [] if self.labels is None else [self.labels]
        digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
        digests += [] if self.covariates is None else [self.covariates.fingerprint]
        return _sha256([self.text_fingerprint, _sha256(self.vocab), _sha256(self.label_names), *digests])


def known_words(vocab: Sequence[str], token_ids: np.ndarray, token_offsets: np.ndarray) -> list[str]:
    """Vocabulary words of each document, joined by spaces; D strings.

    token_ids, token_offsets: as in Corpus; tokens of -1 are left out.
    """
    bounds: list[int] = token_offsets.tolist()
    tokens: list[int] = token_ids.tolist()
    return [
        " ".join(vocab[token] for token in tokens[start:end] if token >= 0) for start, end in pairwise(bounds)
    ]


def text_fingerprint(texts: Iterable[str]) -> str:
    """The `Corpus.text_fingerprint` of a corpus of these texts."""
    return _sha256(texts)


def _sha256(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()
