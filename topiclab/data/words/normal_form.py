"""Reading: a text as the tokenizer sees it, and where its characters stand in the text as given."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple


class Reading(NamedTuple):
    """A text in Unicode form NFC, lower case if asked.

    starts, stops: of each character, the first character it comes from and the one after the last; empty
    where every character stands at its own place.
    """

    text: str
    starts: list[int]
    stops: list[int]

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """The characters, from and to, that text[start:stop] comes from."""
        if not self.starts:
            return start, stop
        return (self.starts[start], self.stops[stop - 1]) if start < stop else (0, 0)


def read(text: str, lowercase: bool) -> Reading:
    """A character that NFC or lower-casing makes of several, or several of one, is traced as a whole."""
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
    """The text in pieces that NFC does not join: mostly a character with the marks that follow it."""
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
