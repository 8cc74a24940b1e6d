"""Targets: the word distributions that a student is trained to match, made from soft labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from topiclab.data.soft_labels import SoftLabels

BLOCK_DOCS = 2048


@dataclass(frozen=True, eq=False)
class Targets:
    """One distribution over the words for each of D documents.

    values: CSR (D, V) float32 where most words have no mass, else (D, V) float16.
    entropy: (D,) float32, nats: cross-entropy minus this is the divergence.
    """

    values: sparse.csr_matrix | np.ndarray
    entropy: np.ndarray


def distributions(
    labels: SoftLabels,
    temperature: float,
    top_k: int | None = None,
    top_share: float | None = None,
    masking: str = "drop",
) -> Targets:
    """softmax(logits / temperature); a temperature below 1 sharpens, above 1 flattens.

    top_k: keep only each document's k likeliest words; top_share: ceil(top_share * V) of them. ValueError if
    fewer are stored.
    masking: treatment of the other words: `drop` gives them no mass, so that the kept words sum to 1;
    `zero_logit` sets their logit to 0, as published for ETM and ECRTM, which gives them mass whenever kept
    logits are low.
    """
    top_k = _num_kept(labels, top_k, top_share)
    if masking == "zero_logit" and top_k is not None:
        return _in_blocks(
            labels, lambda rows: _softmax(_zeroed(labels.raw_logits(rows), top_k) / temperature)
        )
    if labels.words is None and (top_k is None or top_k >= labels.num_words):
        return _in_blocks(labels, lambda rows: _softmax(labels.logits[rows].astype(np.float32) / temperature))
    return _sparse(labels, temperature, top_k)


def _num_kept(labels: SoftLabels, top_k: int | None, top_share: float | None) -> int | None:
    """Number of words per document that the two options keep; None for all that are stored."""
    asked = f"objective.top_k={top_k}"
    if top_share is not None:
        asked, top_k = f"objective.top_share={top_share:g}", math.ceil(top_share * labels.num_words)
    stored = labels.logits.shape[1]
    if top_k is not None and labels.words is not None and top_k > stored:
        raise ValueError(
            f"{asked}, but only the {stored} likeliest words of each document are stored; raise teacher.top_k"
        )
    return top_k


def _sparse(labels: SoftLabels, temperature: float, top_k: int | None) -> Targets:
    num_kept = labels.logits.shape[1] if top_k is None else top_k
    if labels.words is None:
        words = np.argpartition(-labels.logits.astype(np.float32), num_kept - 1, axis=1)[:, :num_kept]
        logits = np.take_along_axis(labels.logits, words, axis=1)
    else:
        words, logits = np.array(labels.words[:, :num_kept]), labels.logits[:, :num_kept]
    probs = _softmax(logits.astype(np.float32) / temperature)
    offsets = np.arange(0, probs.size + 1, num_kept)
    values = sparse.csr_matrix((probs.ravel(), words.ravel(), offsets), (labels.num_docs, labels.num_words))
    values.eliminate_zeros()
    values.sort_indices()
    return Targets(values, _entropy(probs))


def _in_blocks(labels: SoftLabels, compute) -> Targets:
    """Dense targets, computed for one block of documents at a time."""
    values = np.empty((labels.num_docs, labels.num_words), np.float16)
    entropy = np.empty(labels.num_docs, np.float32)
    for start in range(0, labels.num_docs, BLOCK_DOCS):
        rows = slice(start, min(start + BLOCK_DOCS, labels.num_docs))
        probs = compute(rows)
        values[rows], entropy[rows] = probs, _entropy(probs)
    return Targets(values, entropy)


def _zeroed(logits: np.ndarray, top_k: int) -> np.ndarray:
    """The k largest logits of each row, 0 elsewhere; fewer than k where fewer are finite."""
    if top_k >= logits.shape[1]:
        return logits
    threshold = -np.partition(-logits, top_k - 1, axis=1)[:, top_k - 1 : top_k]
    return np.where((logits >= threshold) & np.isfinite(logits), logits, 0)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _entropy(probs: np.ndarray) -> np.ndarray:
    return -(probs * np.log(np.where(probs > 0, probs, 1))).sum(axis=1).astype(np.float32)


def raw_logits(labels: SoftLabels, top_k: int | None = None, top_share: float | None = None) -> Targets:
    """The teacher's raw logits, which are not distributions: the published weights of ETM and ECRTM.

    top_k, top_share: as above; the other words have weight 0. Entropies are 0.
    ValueError where only each document's likeliest words are stored, or some words are impossible.
    """
    if labels.words is not None:
        raise ValueError("objective.loss=raw_logit_ce weighs all words; store them with teacher.top_k=null")
    if np.isneginf(labels.logits).any():
        raise ValueError(
            "objective.loss=raw_logit_ce weighs all words, but the teacher finds some impossible; use a "
            "language model with teacher.multi_token=first_subtoken or exact, or objective.loss=kl"
        )
    num_kept = _num_kept(labels, top_k, top_share) or labels.num_words
    values = np.empty((labels.num_docs, labels.num_words), np.float16)
    for start in range(0, labels.num_docs, BLOCK_DOCS):
        rows = slice(start, start + BLOCK_DOCS)
        values[rows] = _zeroed(labels.raw_logits(rows), num_kept)
    return Targets(values, np.zeros(labels.num_docs, np.float32))


def with_bow(targets: Targets, bow: sparse.csr_matrix, share: float) -> Targets:
    """Targets with `share` of their mass given to the document's own words; empty documents keep theirs."""
    lengths = np.asarray(bow.sum(axis=1)).ravel()
    weights = np.where(lengths > 0, share / np.maximum(lengths, 1), 0)
    kept = np.where(lengths > 0, 1 - share, 1).astype(np.float32)
    own = sparse.csr_matrix(sparse.diags(weights) @ bow, dtype=np.float32)
    if sparse.issparse(targets.values):
        values = sparse.csr_matrix(sparse.diags(kept) @ targets.values + own, dtype=np.float32)
        values.sort_indices()
        logs = values.data * np.log(values.data)
        docs = np.repeat(np.arange(len(lengths)), np.diff(values.indptr))
        return Targets(values, -np.bincount(docs, logs, len(lengths)).astype(np.float32))
    mixed = np.empty_like(targets.values)
    entropy = np.empty(len(lengths), np.float32)
    for start in range(0, len(lengths), BLOCK_DOCS):
        rows = slice(start, start + BLOCK_DOCS)
        probs = targets.values[rows].astype(np.float32) * kept[rows, None] + own[rows].toarray()
        mixed[rows], entropy[rows] = probs, _entropy(probs)
    return Targets(mixed, entropy)


def softmax_of_counts(bow: sparse.csr_matrix, temperature: float) -> Targets:
    """softmax(counts / temperature) over all words: the published BoW target, nearly uniform on titles."""
    num_docs, num_words = bow.get_shape()
    values = np.empty((num_docs, num_words), np.float16)
    entropy = np.empty(num_docs, np.float32)
    for start in range(0, num_docs, BLOCK_DOCS):
        rows = slice(start, start + BLOCK_DOCS)
        probs = _softmax(bow[rows].toarray().astype(np.float32) / temperature)
        values[rows], entropy[rows] = probs, _entropy(probs)
    return Targets(values, entropy)
