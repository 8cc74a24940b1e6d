"""Texts longer than an embedder reads: counted and told, and on request embedded in parts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

log = logging.getLogger(__name__)

Long = Literal["cut", "mean"]
SLACK = 2  # tokens by which a part may grow when it is tokenised alone
LOOK_BACK = 4  # a part ends between words if there is such a place in its last quarter


@dataclass(frozen=True)
class Parts:
    """Pieces of N texts to embed: of a long text its parts, of any other the whole.

    tokens: M pieces, token ids.  owners: (M,) int64 ascending, the text of each piece.  weights: (M,)
    float32, number of the text's tokens in the piece over that in all pieces of its text.
    """

    tokens: list[np.ndarray]
    owners: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, pieces: Sequence[Sequence[np.ndarray]], overhead: int) -> Parts:
        """Pieces of each text; overhead: tokens in each piece that are not of the text."""
        owners = np.repeat(np.arange(len(pieces)), np.array([len(each) for each in pieces], np.int64))
        tokens = [piece for each in pieces for piece in each]
        sizes = np.array([max(1, len(ids) - overhead) for ids in tokens], np.float64)
        totals = np.bincount(owners, sizes, minlength=len(pieces))
        return cls(tokens, owners, (sizes / totals[owners]).astype(np.float32))

    @property
    def is_first(self) -> np.ndarray:
        """Mask (M,) of the first piece of every text."""
        return np.diff(self.owners, prepend=-1) > 0

    def averaged(self, vectors: np.ndarray) -> np.ndarray:
        """Weighted mean (N, E) of the vectors (M, E) of each text's pieces; a single piece's as it is."""
        starts = np.flatnonzero(self.is_first)
        if len(starts) == len(vectors):
            return vectors
        means = np.add.reduceat(vectors * self.weights[:, None], starts, axis=0)
        is_single = np.diff(starts, append=len(vectors)) == 1
        means[is_single] = vectors[starts[is_single]]
        return means


def cuts(spans: np.ndarray, text: str, room: int) -> list[str]:
    """Parts of a text of at most `room` tokens, nearly equal in number, ending between words where possible.

    spans: (L, 2) characters that each token covers, from and to.
    """
    starts: list[int] = spans[:, 0].tolist()
    bounds, first = [0], 0
    while (left := len(starts) - first) > room:
        last = first + -(-left // -(-left // room))
        nearest = max(first + 1, last - room // LOOK_BACK)
        first = next((place for place in range(last, nearest, -1) if _begins_word(text, starts[place])), last)
        bounds.append(starts[first])
    return [text[begin:end] for begin, end in zip(bounds, [*bounds[1:], len(text)], strict=True)]


def _begins_word(text: str, place: int) -> bool:
    return place > 0 and (text[place].isspace() or text[place - 1].isspace())


def reading_facts(embedder: Any) -> dict[str, int]:
    """For a manifest: texts of the last encoding that are longer than the limit, and the limit in tokens."""
    is_long = getattr(embedder, "is_long", None)
    return {} if is_long is None else {"num_long": int(is_long.sum()), "max_length": embedder.token_limit}


def tell_long(num_long: int | None, limit: int | None, num_texts: int, name: str, long: str) -> None:
    """Log how many of the texts are longer than an embedder reads.

    num_long: None where that was not counted.  limit: in tokens; None for an embedder that reads all.
    name, long: of the embedder.
    """
    if limit is None:
        return
    if num_long is None:
        log.info(
            "the vectors in the cache are of an earlier version, which did not count documents of more than "
            "%s tokens",
            limit,
        )
    elif num_long and long == "mean":
        log.info(
            "%d of %d documents have more than %d tokens; they are embedded in parts",
            num_long,
            num_texts,
            limit,
        )
    elif num_long:
        log.warning(
            "%d of %d documents (%.1f%%) are longer than the %d tokens that embedder=%s reads; their rest is "
            "left unread: use embedder.long=mean (parts, averaged), an embedder that reads more, or shorter "
            "documents",
            num_long,
            num_texts,
            100 * num_long / num_texts,
            limit,
            name,
        )
