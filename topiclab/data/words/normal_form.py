"""Reading: a text as the tokenizer sees it, and the positions of its characters in the original text."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple


class Reading(NamedTuple):
    """A text in Unicode form NFC, in lower case if requested.

    starts, stops: for each character, the first original character that it comes from and the one after the
    last; empty where every character keeps its position.
    """

    text: str
    starts: list[int]
    stops: list[int]

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """Range (from, to) of the original characters that text[start:stop] comes from."""
        if not self.starts:
            return start, stop
        return (self.starts[start], self.stops[stop - 1]) if start < stop else (0, 0)


def read(text: str, lowercase: bool) -> Reading:
    """Reading of a text; characters that NFC or lower-casing merges or splits are traced as a whole."""
    normal = unicodedata.normalize("NFC", text)
    read = normal.lower() if lowercase else normal
    if normal == text and len(read) == len(text):
        return Reading(read, [], [])
    starts, stops = [], []
    start = 0
    for piece in _pieces(text):
        composed = unicodedata.normalize("NFC", piece)
        length = sum(len(char.lower()) for char in composed) if lowercase else len(composed)
        starts += [start] * length
        start += len(piece)
        stops += [start] * length
    return Reading(read, starts, stops)


def _pieces(text: str) -> list[str]:
    """Split a text into pieces that NFC does not join: mostly a character with the marks that follow it."""
    pieces: list[str] = []
    for char in text:
        if pieces and (unicodedata.combining(char) or _joins(pieces[-1], char)):
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


def _joins(piece: str, char: str) -> bool:
    if char.isascii():
        return False
    apart = unicodedata.normalize("NFC", piece) + unicodedata.normalize("NFC", char)
    return unicodedata.normalize("NFC", piece + char) != apart
