"""Codes of single occurrences of words, by their meaning in context instead of the word's average meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from topiclab.cache import cached_arrays, key_hash
from topiclab.data.words.occurrences import Occurrences
from topiclab.models.codes.codebook import Codebook
from topiclab.models.codes.word_codes import WordCodebook, encode_words, word_codes

CODEBOOK = "codebook"


@dataclass(frozen=True)
class OccurrenceCodes:
    """Codes (M, K) int32, nearest first, and their weights (M, K) float32, of M occurrences.

    coder: arrays that assign codes to later occurrences, see `codes_of`.
    """

    codebook: Codebook
    codes: np.ndarray
    weights: np.ndarray
    coder: dict[str, np.ndarray]


def occurrence_codes(
    occurrences: Occurrences,
    train_rows: np.ndarray,
    options: WordCodebook,
    *,
    max_occurrences: int,
    expansion: int,
    num_codes: int,
    seed: int,
    cache_root: Path | None = None,
    device: str = "cpu",
) -> OccurrenceCodes:
    """Train stage 1 on occurrences of the training documents and encode all occurrences; both are cached.

    max_occurrences: number of occurrences to learn from, drawn by the seed; a smaller corpus uses all.
    """
    learnt = _learnt(occurrences, train_rows, max_occurrences, seed)
    sample = {"occurrences": occurrences.key, "rows": key_hash({"rows": train_rows.tolist()})}
    is_named = cache_root is not None and occurrences.key is not None
    found = word_codes(
        occurrences.vectors[learnt],
        np.ones(len(learnt)),
        options,
        expansion=expansion,
        num_codes=num_codes,
        seed=seed,
        cache_root=cache_root if is_named else None,
        key=key_hash({**sample, "most": max_occurrences}) if is_named else None,
        device=device,
    )
    coder = {**found.encoder, CODEBOOK: found.codebook.vectors}

    def assign() -> dict[str, np.ndarray]:
        codes, weights = codes_of(occurrences, coder, options, expansion)
        return {"codes": codes, "weights": weights}

    key = {
        "codebook": found.codebook.key,
        "occurrences": occurrences.key,
        "expansion": expansion,
        "weights": options["code_weights"],
    }
    arrays = cached_arrays(cache_root if is_named else None, "occurrence_codes", key, assign)
    return OccurrenceCodes(found.codebook, arrays["codes"], arrays["weights"], coder)


def codes_of(
    occurrences: Occurrences, coder: Mapping[str, np.ndarray], options: WordCodebook, expansion: int
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (M, K) int32 and weights (M, K) float32 of occurrences under a finished stage 1."""
    if not len(occurrences.words):
        return np.zeros((0, expansion), np.int32), np.zeros((0, expansion), np.float32)
    encoder = {name: array for name, array in coder.items() if name != CODEBOOK}
    return encode_words(occurrences.vectors, encoder, coder[CODEBOOK], options, expansion)


def code_bags(
    codes: np.ndarray, weights: np.ndarray, owners: np.ndarray, num_owners: int, num_codes: int
) -> sparse.csr_matrix:
    """Total code weights of the occurrences of each document, or of each word: CSR (D, N) float32.

    owners: (M,) the document, or the word, of each occurrence.
    """
    rows = np.repeat(owners, codes.shape[1])
    shape = (num_owners, num_codes)
    bags = sparse.csr_matrix((np.asarray(weights).ravel(), (rows, np.asarray(codes).ravel())), shape=shape)
    bags.sum_duplicates()
    return bags


def usual_codes(bags: sparse.csr_matrix, expansion: int) -> tuple[np.ndarray, np.ndarray]:
    """Most frequent K codes of each word (V, K), and their shares of its codes; 0 for a word without codes.

    bags: (V, N) of the words.
    """
    dense = bags.toarray()
    codes = np.argsort(-dense, axis=1, kind="stable")[:, :expansion]
    total = np.maximum(dense.sum(axis=1, keepdims=True), 1e-30)
    return codes, (np.take_along_axis(dense, codes, axis=1) / total).astype(np.float32)


def _learnt(occurrences: Occurrences, train_rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    is_train = np.zeros(occurrences.num_docs, bool)
    is_train[train_rows] = True
    rows = np.flatnonzero(is_train[occurrences.docs])
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
