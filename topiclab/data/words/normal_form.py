"""Reading: a text as the tokenizer sees it, and the positions of its characters in the original text."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_CYRILLIC, _HEBREW = "[\u0400-\u052f]", "[\u05d0-\u05ea]"
# Marks of punctuation inside a word that belong to its spelling: the apostrophe of Ukrainian and Belarusian
# (the letter U+02BC), geresh and gershayim of Hebrew. Each becomes one character, however it was typed.
_INSIDE = re.compile(
    f"['\u2019\u02bc](?<={_CYRILLIC}.)(?={_CYRILLIC})|['\u2019\"\u201d](?<={_HEBREW}.)(?={_HEBREW})"
)
_SPELLING = {"'": "\u05f3", "\u2019": "\u05f3", '"': "\u05f4", "\u201d": "\u05f4"}


def normal(text: str, lowercase: bool) -> str:
    """Text as the tokenizer sees it: in Unicode form NFC, in lower case if requested, one form for each word.

    The dot that lower-casing leaves behind Turkish İ goes, and the result is composed again: J̌ has no capital
    of its own, ǰ is one character.
    """
    if text.isascii():
        return text.lower() if lowercase else text
    text = unicodedata.normalize("NFC", text)
    if lowercase:
        text = unicodedata.normalize("NFC", text.lower().replace("i\u0307", "i"))
    return _INSIDE.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    is_hebrew = found.start() > 0 and "\u05d0" <= found.string[found.start() - 1] <= "\u05ea"
    return _SPELLING[found.group()] if is_hebrew else "\u02bc"


class Reading(NamedTuple):
    """A text in the form of `normal`.

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
    read = normal(text, lowercase)
    if text.isascii() or (len(read) == len(text) and unicodedata.is_normalized("NFC", text)):
        return Reading(read, [], [])
    starts, stops = [], []
    start = 0
    for piece in _pieces(text):
        length = len(normal(piece, lowercase))
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
