"""Batch and its sparse counts: whole-corpus tensors, indexed by row without a loop per document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True)
class Nonzeros:
    """Counts of B documents, stored as nonzeros.

    docs: (n,) int64 row in the batch, ascending.  words: (n,) int64.  counts: (n,) float32.
    offsets: (B + 1,) int64 where each document's nonzeros start.  lengths: (B,) float32 tokens per document.
    """

    docs: Tensor
    words: Tensor
    counts: Tensor
    offsets: Tensor
    lengths: Tensor
    num_words: int

    def split(self, sizes: Sequence[int]) -> Iterator[Nonzeros]:
        """Cut into parts of consecutive documents, of these sizes; all but docs and offsets are views."""
        firsts = np.cumsum([0, *sizes])
        bounds = self.offsets[firsts].tolist()
        held = np.diff(bounds)
        docs = self.docs - torch.from_numpy(firsts[:-1].repeat(held)).to(self.docs.device)
        cut = (values.split(held.tolist()) for values in (docs, self.words, self.counts))
        parts = zip(*cut, self.lengths.split(list(sizes)), strict=True)
        for (docs, words, counts, lengths), first, start in zip(parts, firsts, bounds, strict=False):
            offsets = self.offsets[first : first + len(lengths) + 1] - start
            yield Nonzeros(docs, words, counts, offsets, lengths, self.num_words)


class SparseCounts:
    """A CSR count matrix (D, V) as tensors on one device."""

    def __init__(self, bow: sparse.csr_matrix) -> None:
        self.indptr = torch.from_numpy(bow.indptr.astype("int64"))
        self.words = torch.from_numpy(bow.indices.astype("int64"))
        self.counts = torch.from_numpy(bow.data.astype("float32"))
        self.lengths = torch.from_numpy(np.asarray(bow.sum(axis=1)).ravel().astype("float32"))
        self.num_words = bow.get_shape()[1]

    def to(self, device: torch.device) -> SparseCounts:
        moved = copy(self)
        for name in ("indptr", "words", "counts", "lengths"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def permuted(self, rows: Tensor) -> Nonzeros:
        """Nonzeros of the given documents, in the given order."""
        starts, sizes = self.indptr[rows], self.indptr[rows + 1] - self.indptr[rows]
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        docs = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), sizes)
        positions = torch.arange(len(docs), device=rows.device) + (starts - offsets[:-1])[docs]
        words, counts = self.words[positions], self.counts[positions]
        return Nonzeros(docs, words, counts, offsets, self.lengths[rows], self.num_words)


@dataclass(frozen=True)
class Batch:
    """B documents as a model sees them.

    rows: (B,) rows of the corpus.  bow: their counts.  embeddings: (B, E) float32 or None.
    labels: (B,) int64, -1 without label; None unless the mode shows labels to the model.
    targets: word distributions to match, nonzeros or (B, V) float32; None unless the objective has targets.
    target_entropy: (B,) in nats; None without targets.
    codes: (B, N) over N codes, summed over the single word occurrences of a document: `words` holds codes and
    `counts` their weights; None where a word has the same codes at every occurrence.
    periods: (B,) int64, the period of a model over time; None for the others.
    """

    rows: Tensor
    bow: Nonzeros
    embeddings: Tensor | None = None
    labels: Tensor | None = None
    targets: Nonzeros | Tensor | None = None
    target_entropy: Tensor | None = None
    codes: Nonzeros | None = None
    periods: Tensor | None = None


@dataclass
class DocumentTensors:
    """All documents as whole tensors; `batches` cuts them up."""

    bow: SparseCounts
    embeddings: Tensor | None = None
    labels: Tensor | None = None
    targets: SparseCounts | Tensor | None = None
    target_entropy: Tensor | None = None
    codes: SparseCounts | None = None
    periods: Tensor | None = None

    def __len__(self) -> int:
        return len(self.bow.lengths)

    def to(self, device: torch.device) -> DocumentTensors:
        move = lambda tensor: None if tensor is None else tensor.to(device)  # noqa: E731
        return replace(
            self,
            bow=self.bow.to(device),
            embeddings=move(self.embeddings),
            labels=move(self.labels),
            targets=move(self.targets),
            target_entropy=move(self.target_entropy),
            codes=None if self.codes is None else self.codes.to(device),
            periods=move(self.periods),
        )

    def batches(self, rows: Tensor, count: int) -> Iterator[Batch]:
        """Yield the given documents in `count` batches of nearly equal size; gather counts only once."""
        parts = rows.tensor_split(count)
        sizes = [len(part) for part in parts]
        # index_select copies whole rows; indexing goes element by element, which takes 2.5 times as long
        pick = lambda tensor, part: None if tensor is None else tensor.index_select(0, part)  # noqa: E731
        cut = lambda vector: repeat(None) if vector is None else vector[rows].split(sizes)  # noqa: E731
        targets: Iterator[Nonzeros | Tensor | None] = (
            self.targets.permuted(rows).split(sizes)
            if isinstance(self.targets, SparseCounts)
            else (
                None if self.targets is None else self.targets.index_select(0, part).float() for part in parts
            )
        )
        bows, labels, entropies = (
            self.bow.permuted(rows).split(sizes),
            cut(self.labels),
            cut(self.target_entropy),
        )
        codes = repeat(None) if self.codes is None else self.codes.permuted(rows).split(sizes)
        cuts = zip(parts, bows, labels, targets, entropies, codes, cut(self.periods))  # noqa: B905
        for part, bow, label, target, entropy, code, period in cuts:
            yield Batch(part, bow, pick(self.embeddings, part), label, target, entropy, code, period)


def tensors_of(
    bow: sparse.csr_matrix, embeddings: np.ndarray | None, labels: np.ndarray | None = None
) -> DocumentTensors:
    """Documents as whole tensors on the CPU; bow (N, V), embeddings (N, E), labels (N,)."""
    vectors = None if embeddings is None else torch.from_numpy(np.array(embeddings, dtype=np.float32))
    return DocumentTensors(SparseCounts(bow), vectors, None if labels is None else torch.from_numpy(labels))
