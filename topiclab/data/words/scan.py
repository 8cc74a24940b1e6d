"""Words of many texts at once: runs of letters, found and numbered on arrays of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow

from topiclab.data.words.normal_form import normal

BLOCK_CHARACTERS = 1 << 23  # scanned at a time
SPACE, END_OF_TEXT = 0x20, b"\xff"  # the latter does not occur in UTF-8
# ASCII that is not part of a word becomes a space. Bytes above it stay: they are interpreted once for each
# distinct piece, not for each character. So do apostrophes, where contractions are stop words.
APART = bytes(code if code >= 0x80 or chr(code).isalnum() or code == 0x5F else SPACE for code in range(256))
APART_BUT_APOSTROPHES = APART[:0x27] + b"'" + APART[0x28:]


def scan_words(
    texts: Iterable[str], find: Callable[[str], list[str]], lowercase: bool, keeps_apostrophes: bool
) -> tuple[list[str], np.ndarray, np.ndarray]:
    r"""Distinct words by first appearance, ids (T,) int32 into them, and offsets (D + 1,) int64 of the texts.

    Equal to `find` of each text in the form of `normal`, for a function whose words hold no ASCII but
    letters, digits and _, and that looks no further than the next other character of ASCII (where
    apostrophes are kept, than the next that is not one).
    """
    pieces: dict[bytes, int] = {}  # by first appearance
    apart = APART_BUT_APOSTROPHES if keeps_apostrophes else APART
    blocks = [_number(block.translate(apart), pieces) for block in _blocks(texts, lowercase)]
    ids = np.concatenate([np.zeros(0, dtype=np.int32), *blocks])
    del blocks
    words: dict[str, int] = {}
    found = [[words.setdefault(word, len(words)) for word in _words(piece, find)] for piece in pieces]
    return list(words), *_spread(ids, found, pieces.get(END_OF_TEXT, -1))


def _blocks(texts: Iterable[str], lowercase: bool) -> Iterator[bytes]:
    """Texts in UTF-8, in the form of `normal`, each followed by END_OF_TEXT."""
    block: list[bytes] = []
    size = 0
    for text in texts:
        block.append(normal(text, lowercase).encode("utf-8", "surrogatepass"))
        size += len(text)
        if size > BLOCK_CHARACTERS:
            yield _joined(block)
            block, size = [], 0
    if block:
        yield _joined(block)


def _joined(block: list[bytes]) -> bytes:
    return (b" " + END_OF_TEXT + b" ").join([*block, b""])


def _number(block: bytes, pieces: dict[bytes, int]) -> np.ndarray:
    """Index of every piece between the spaces of a block, (P,) int32; new pieces are added to `pieces`."""
    signs = np.frombuffer(block, dtype=np.uint8)
    is_inside = np.concatenate([[False], signs != SPACE, [False]])
    edges = np.flatnonzero(is_inside[1:] != is_inside[:-1])
    sizes = edges[1::2] - edges[::2]
    if not len(sizes):
        return np.zeros(0, dtype=np.int32)
    offsets = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(signs[is_inside[1:-1]])]
    encoded = pyarrow.BinaryArray.from_buffers(pyarrow.binary(), len(sizes), buffers).dictionary_encode()
    numbers = [pieces.setdefault(piece, len(pieces)) for piece in encoded.dictionary.to_pylist()]
    return np.array(numbers, dtype=np.int32)[encoded.indices.to_numpy()]


def _words(piece: bytes, find: Callable[[str], list[str]]) -> list[str]:
    if piece == END_OF_TEXT:
        return []
    return find(piece.decode("utf-8", "surrogatepass"))


def _spread(ids: np.ndarray, found: list[list[int]], end: int) -> tuple[np.ndarray, np.ndarray]:
    """Expand pieces into their words: ids (T,) int32, and offsets (D + 1,) int64 of the texts."""
    sizes = np.array([len(words) for words in found], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    flat = np.array([word for words in found for word in words], dtype=np.int32)
    if not len(found):
        return np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64)
    of_piece = sizes[ids]
    ends = np.cumsum(of_piece)
    offsets = np.concatenate([[0], ends[ids == end]])
    if sizes.max() <= 1:
        return flat[starts[ids[of_piece > 0]]], offsets
    within = np.arange(ends[-1]) - np.repeat(ends - of_piece, of_piece)
    return flat[np.repeat(starts[ids], of_piece) + within], offsets
