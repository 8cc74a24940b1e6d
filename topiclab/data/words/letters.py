"""Letters of all scripts: what a word is made of, and how few letters one may have.

A word is a run of letters, each with the combining marks that follow it, which touches no digit and no
underscore. Python's `\\w` holds no marks: without them Hindi, Bengali, Tamil or vowelled Arabic fall apart.
Character data: `unicodedata`, categories Mn and Mc.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable

LETTER = r"[^\W\d_]"
EMOJI_STYLES = range(0xFE00, 0xFE10)  # variation selectors: marks of pictures, not of letters
# Scripts whose letters are each a syllable or a word, so that two are a full word: Thaana, those of
# India and Southeast Asia, Hangul, Ethiopic, Cherokee, Canadian syllabics, kana, bopomofo, Han, Yi and Vai.
SHORT_SCRIPTS = (
    "\u0780-\u07bf\u0900-\u109f\u1100-\u139f\u13a0-\u167f\u1700-\u17ff\u1900-\u1cff\u2d80-\u2ddf\u3005-\u3007"
    "\u3040-\u30ff\u3100-\u31ff\u3400-\u4dbf\u4e00-\ua63f\ua800-\uab2f\uab70-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U00011000-\U00011fff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
JOINERS = "\u200c\u200d"  # zero-width non-joiner and joiner, inside Persian and Indic words


def _ranges(codes: Iterable[int]) -> str:
    """A sorted set of characters as the inside of a class of `re`."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(chr(first) if first == last else f"{chr(first)}-{chr(last)}" for first, last in ranges)


MARKS = _ranges(
    code
    for code in range(0x300, sys.maxunicode + 1)
    if unicodedata.category(chr(code)) in ("Mn", "Mc") and code not in EMOJI_STYLES
)
_UNIT = f"{LETTER}[{MARKS}]*"
_SHORT = f"(?=[{SHORT_SCRIPTS}]){_UNIT}"
# Inside a word: a joiner, the middle dot of Catalan (col·lecció), geresh and gershayim of Hebrew.
_JOINED = (
    f"[{JOINERS}]|(?<=l)\u00b7(?=l)|(?<=L)\u00b7(?=L)|(?<=[\u05d0-\u05ea])[\u05f3\u05f4](?=[\u05d0-\u05ea])"
)
_LINK = f"(?:{_JOINED})?"
# What may not stand before a word: a letter, digit or underscore, with up to two marks.
_START = rf"(?<!\w)(?<!\w[{MARKS}])(?<!\w[{MARKS}][{MARKS}])"
_END = rf"(?![\w{MARKS}])"
_CHILLU = f"(?:(?<=[{MARKS}])\u200d)?"  # a joiner that ends a Malayalam word makes its last letter another

# Words of at least three letters, or of two where one is of SHORT_SCRIPTS; marks and joiners do not count.
_LETTERS = f"{_UNIT}(?:{_LINK}{_UNIT}){{2,}}|{_SHORT}{_LINK}{_UNIT}|{_UNIT}{_LINK}{_SHORT}"
WORD = f"{_START}(?:{_LETTERS}){_CHILLU}{_END}"
ASCII_LETTERS = 3
ASCII_WORD = re.compile(rf"\b[^\W\d_]{{{ASCII_LETTERS},}}\b", re.ASCII)  # words of WORD in ASCII alone
# Runs of letters, marks, digits and underscores of any length: what takes a place in a text.
PLACE = rf"\w+(?:[{MARKS}]+\w*|(?:{_JOINED})\w+)*{_CHILLU}"
