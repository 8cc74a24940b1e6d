"""Packing: tokens of documents to rows of one length, planned per epoch and gathered on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from topiclab.minillm.data.tokenizer import END_OF_TEXT

IGNORED = -100  # a label that carries no loss, as in torch


@dataclass(frozen=True)
class Rows:
    """B rows of T + 1 tokens: a model reads the first T of a row and predicts the last T.

    ids: (B, T + 1) uint16, END_OF_TEXT in padding.
    documents: (B, T + 1) int32, document numbers from 0, increasing along a row; padding counts as one more.
    labels: (B, T + 1) int64, the ids, IGNORED in padding and where nothing is to be predicted.
    """

    ids: np.ndarray
    documents: np.ndarray
    labels: np.ndarray


class Segments(NamedTuple):
    """S runs of tokens, each of one document, by row and column; every array is (S,).

    start: of the run in its document, where 0 is the separator before it, if there is one; the position after
    the last token is a separator too.  is_first: the run begins a new number in `Rows.documents`.
    """

    row: np.ndarray
    column: np.ndarray
    document: np.ndarray
    start: np.ndarray
    length: np.ndarray
    is_first: np.ndarray


class Packing:
    """The rows of one epoch in a seeded order; memory grows with the documents, not with the tokens.

    num_rows: R.  fill: share of the R * T predicted positions that are not padding.  kept: share of the
    documents' tokens that are in some row.
    """

    def __init__(
        self,
        tokens: tuple[np.ndarray, np.ndarray],
        segments: Segments,
        *,
        length: int,
        kept: float,
        order: np.ndarray,
        has_separator: bool,
        is_target: np.ndarray | None,
    ) -> None:
        (self._ids, self._offsets), self._is_target = tokens, is_target
        self._segments, self._order, self._has_separator = segments, order, has_separator
        self.num_rows, self.length, self.kept = len(order), length, kept
        self._first = np.searchsorted(segments.row, np.arange(self.num_rows + 1))
        self.fill = (int(segments.length.sum()) - self.num_rows) / (self.num_rows * length)

    def rows(self, numbers: np.ndarray) -> Rows:
        """The rows with these numbers, (B,) in 0..num_rows - 1."""
        places, width = self._order[np.asarray(numbers, dtype=np.int64)], self.length + 1
        first, last = self._first[places], self._first[places + 1]
        picked = ranges(first, last - first)
        _, column, document, start, length, is_first = (part[picked] for part in self._segments)
        begin = np.repeat(np.arange(len(places)) * width, last - first) + column  # of each run, in all cells
        cells = ranges(begin, length)
        token = ranges(start, length) - self._has_separator
        num_tokens = np.repeat(self._offsets[document + 1] - self._offsets[document], length)
        is_text = (token >= 0) & (token < num_tokens)
        source = np.repeat(self._offsets[document], length)[is_text] + token[is_text]
        ids = np.full(len(places) * width, END_OF_TEXT, dtype=np.uint16)
        ids[cells[is_text]] = self._ids[source]
        labels = np.full(len(ids), IGNORED, dtype=np.int64)
        labelled = cells if self._is_target is None else cells[is_text][self._is_target[source]]
        labels[labelled] = ids[labelled]
        ends, begins = begin + length, np.zeros((2, len(ids) + 1), dtype=np.int32)
        begins[0, begin], begins[1, begin[is_first]] = 1, 1
        begins[1, ends[(ends % width > 0) & (begins[0, ends] == 0)]] = 1  # padding
        documents = np.cumsum(begins[1, :-1].reshape(-1, width), axis=1, dtype=np.int32) - 1
        return Rows(ids.reshape(-1, width), documents, labels.reshape(-1, width))


def pack(
    ids: np.ndarray,
    offsets: np.ndarray,
    documents: np.ndarray,
    *,
    length: int,
    mode: str,
    seed: int,
    epoch: int = 0,
    has_separator: bool = True,
    is_target: np.ndarray | None = None,
) -> Packing:
    """Rows of `length` + 1 tokens of the chosen documents, in an order drawn from (seed, epoch).

    ids, offsets: of all documents, as returned by Tokenizer.encode_batch.  documents: numbers of the chosen.
    mode: stream cuts the concatenated documents, as a ring with a random start, so every token is predicted
    once; bestfit puts into each row the longest document that still fits, and cuts one only if none does,
    so every row begins with a separator and little is cut; pad gives each document a row and drops the rest.
    has_separator: END_OF_TEXT before each document, which ends the previous one; without it (conversations)
    bestfit cuts nothing that fits into a row.
    is_target: (N,) bool, tokens with a label; None: all, separators too.
    Raises ValueError if there is no token, or the mode is unknown.
    """
    documents, sizes = np.asarray(documents, dtype=np.int64), np.diff(offsets)
    documents = documents[sizes[documents] > 0]
    if not len(documents):
        raise ValueError("none of the documents has a token; check data.split and data.path")
    generator = np.random.default_rng([seed, epoch])
    documents = generator.permutation(documents)
    sizes = sizes[documents]
    if mode == "stream":
        num_ring = int((sizes + has_separator).sum())
        segments = _stream(documents, sizes + has_separator, length, int(generator.integers(num_ring)))
        kept = 1.0
    elif mode == "bestfit":
        segments = _best_fit(documents, sizes, length, has_separator)
        kept = 1.0
    elif mode == "pad":
        segments = _padded(documents, sizes, length, has_separator)
        kept = float(np.minimum(sizes, length + 1 - has_separator).sum() / sizes.sum())
    else:
        raise ValueError(f"packing={mode} is unknown; use stream, bestfit or pad")
    order = generator.permutation(int(segments.row[-1]) + 1)
    return Packing(
        (ids, offsets),
        segments,
        length=length,
        kept=kept,
        order=order,
        has_separator=has_separator,
        is_target=is_target,
    )


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenated ranges start, start + 1, ... of the given lengths."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)


def _stream(documents: np.ndarray, sizes: np.ndarray, length: int, shift: int) -> Segments:
    """The ring of all documents from position `shift` on, cut every `length` tokens; rows share one token."""
    cut = int(np.searchsorted(np.cumsum(sizes), shift, side="right"))
    local = shift - int(sizes[:cut].sum())
    piece = np.concatenate([np.arange(cut, len(documents)), np.arange(cut + 1)])
    begin, size = np.zeros(len(piece), dtype=np.int64), sizes[piece]
    begin[0], size[0], size[-1] = local, size[0] - local, local + 1
    place = np.cumsum(size) - size
    num_predicted = int(size.sum()) - 1
    from_place = np.arange(-(-num_predicted // length)) * length
    to_place = np.minimum(from_place + length, num_predicted)
    first = np.searchsorted(place, from_place, side="right") - 1
    number = np.searchsorted(place, to_place, side="right") - first
    row, picked = np.repeat(np.arange(len(first)), number), ranges(first, number)
    low = np.maximum(place[picked], from_place[row])
    high = np.minimum(place[picked] + size[picked], to_place[row] + 1)
    start = begin[picked] + low - place[picked]
    is_first = np.ones(len(row), dtype=bool)
    return Segments(row, low - from_place[row], documents[piece[picked]], start, high - low, is_first)


def _padded(documents: np.ndarray, sizes: np.ndarray, length: int, has_separator: bool) -> Segments:
    """One document per row, cut after `length` + 1 tokens, with a separator after it too."""
    row = np.arange(len(documents))
    size = np.minimum(sizes + 2 * has_separator, length + 1)
    return Segments(row, np.zeros_like(row), documents, np.zeros_like(row), size, np.ones(len(row), bool))


def _best_fit(documents: np.ndarray, sizes: np.ndarray, length: int, has_separator: bool) -> Segments:
    """Rows filled with the longest part that fits; about a microsecond per part, once per epoch.

    The lengths for which parts are left are the bits of one number.
    """
    parts = _parts_by_width(documents, sizes, length, has_separator)
    filled = sum(1 << width for width, found in enumerate(parts) if found)
    placed: list[tuple[int, int, int, int, int, bool]] = []
    row = 0
    while filled:
        left = length + 1
        while left > has_separator:
            width = (filled & ((1 << (left + 1)) - 1)).bit_length() - 1
            if width < 0 and has_separator:  # the shortest part is cut, its rest is put back
                width = (filled & -filled).bit_length() - 1
            if width < 0:
                break
            number, start, num = parts[width].pop()
            if not parts[width]:
                filled ^= 1 << width
            if num + has_separator > left:
                rest = (number, start + left - 1, num - left + 1)
                num = left - 1
                parts[rest[2] + 1].append(rest)
                filled |= 1 << (rest[2] + 1)
            column = length + 1 - left
            if has_separator:
                placed.append((row, column, number, 0, 1, True))
                placed.append((row, column + 1, number, start + 1, num, False))
            else:
                placed.append((row, column, number, start, num, True))
            left -= num + has_separator
        if has_separator and left:  # the separator that ends the last document of the row
            number, start, num = placed[-1][2], placed[-1][3], placed[-1][4]
            placed.append((row, length + 1 - left, number, start + num, 1, False))
        row += 1
    columns = np.array([part[:5] for part in placed], dtype=np.int64).T
    return Segments(*columns, is_first=np.array([part[5] for part in placed]))


def _parts_by_width(
    documents: np.ndarray, sizes: np.ndarray, length: int, has_separator: bool
) -> list[list[tuple[int, int, int]]]:
    """The parts of all documents by their length.

    A part is (document, first token, number of tokens), with a separator before it if there are separators,
    and at most a row long.
    """
    parts: list[list[tuple[int, int, int]]] = [[] for _ in range(length + 2)]
    most = length + 1 - has_separator  # tokens of a part
    for number, size in zip(documents.tolist(), sizes.tolist(), strict=True):
        for start in range(0, size, length):  # without separators, parts share a token that only one predicts
            if has_separator or start == 0 or size - start > 1:
                num = min(most, size - start)
                parts[num + has_separator].append((number, start, num))
    return parts
