"""Encodings ranked by the text that they make of some bytes: letters of one language score, others do not.

The scores separate alphabets and code pages from some twenty letters on; they do not identify languages.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

# 0x80-0x9f hold no letters: text in which they occur was read by the wrong encoding.
CONTROL = re.compile("[\x80-\x9f]")
MIN_SCORE = 0.45  # of an encoding worth naming
CLOSE = 0.87  # share of the best score, for others to be named beside it
MAX_NAMED = 3
SAMPLE_LENGTH = 24  # characters shown of what an encoding gives
# Quotes, dashes and signs that occur in texts of all languages.
SIGNS = frozenset("“”„‘’‚–—…«»°§€£·•¿¡ªº©®™\u00a0、。「」『』，：；！？（）《》・ー「」")
SIGN = 0.8  # of these
WEAK = 0.5  # of a letter that is not among the frequent ones of its alphabet
STRAY = 0.1  # of a letter of another alphabet

# Frequent letters first, then the others that texts in this alphabet hold; in lower case.
LATIN_1 = ("äöüßéèàçñóíáúêåøãâôîœ", "ëïûùõæìòýþðÿšž")
LATIN_2 = ("ąęłśżćńáéíýčěřšůžóúőűöüä", "źďňťľĺŕâîăşţđëçôß")
TURKISH = ("ışğçöü", "âîûé")
BALTIC = ("āēīšūžėįųąęčõäöü", "ģķļņōŗćłńśźżóé")
CYRILLIC = ("оеаинтсрвлкмдпуіјѝ", "яыьгзбчйхжшюцщэфъёїєґђљњћџўћ")
GREEK = ("αοιετσνηυρπκμλςίόάέήύώ", "γδωθχφβξζψϊΐϋΰ")
HEBREW = ("יוהלאמרבתנשדחכפקעגטצזסםןךףץ", "")
HEBREW_FINALS = frozenset("םןךףץ")  # stand at the end of a word only
ARABIC = ("اليمنوترهبدعسفكقأة", "حجشطخصذءىضزئغثظإآؤپچگژک")
THAI = ("านรอกเงมยลวดทสตะปบคหแจพช่้ีัิ", "".join(map(chr, range(0x0E01, 0x0E5B))))
HAN = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里",
    "",
)
HAN_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡",
    "",
)


def _letter(frequent: frozenset[str], rare: frozenset[str], character: str) -> float:
    lower = character.lower()
    return 1.0 if lower in frequent else WEAK if lower in rare else STRAY if lower.isalpha() else 0.0


def _hangul(character: str) -> float:
    if "가" <= character <= "힣":
        return 0.9 if _lead(character, "euc_kr") < 256 else 0.2  # the extension of cp949 holds rare syllables
    return STRAY if "一" <= character <= "鿿" else 0.0


def _japanese(character: str) -> float:
    if "ぁ" <= character <= "ヺ":
        return 1.0
    return 0.4 if "一" <= character <= "鿿" and _lead(character, "euc_jp") < 0xD0 else 0.0


def _han(frequent: frozenset[str], standard: str, last: int, character: str) -> float:
    """Weight of a Chinese character; the common ones have a lead byte up to `last` in the standard."""
    if character in frequent:
        return 1.0
    return 0.6 if "一" <= character <= "鿿" and _lead(character, standard) <= last else 0.0


def _lead(character: str, standard: str) -> int:
    """First of the two bytes of a character, 256 if the standard lacks it."""
    try:
        written = character.encode(standard)
    except UnicodeEncodeError:
        return 256
    return written[0] if len(written) == 2 else 256  # euc_kr spells rare syllables in eight


def _alphabet(letters: tuple[str, str]) -> Callable[[str], float]:
    return partial(_letter, frozenset(letters[0]), frozenset(letters[1]))


def _chinese(letters: tuple[str, str], standard: str, last: int) -> Callable[[str], float]:
    return partial(_han, frozenset(letters[0]), standard, last)


# In the order of use where two encodings give the same text.
WEIGHTS: dict[str, Callable[[str], float]] = {
    "cp1252": _alphabet(LATIN_1),
    "cp1251": _alphabet(CYRILLIC),
    "cp1250": _alphabet(LATIN_2),
    "iso8859-2": _alphabet(LATIN_2),
    "cp1254": _alphabet(TURKISH),
    "cp1257": _alphabet(BALTIC),
    "cp1253": _alphabet(GREEK),
    "cp1255": _alphabet(HEBREW),
    "cp1256": _alphabet(ARABIC),
    "cp874": _alphabet(THAI),
    "koi8-r": _alphabet(CYRILLIC),
    "koi8-u": _alphabet(CYRILLIC),
    "iso8859-5": _alphabet(CYRILLIC),
    "cp866": _alphabet(CYRILLIC),
    "mac-cyrillic": _alphabet(CYRILLIC),
    "gb18030": _chinese(HAN, "gb2312", 0xD7),
    "big5": _chinese(HAN_TRADITIONAL, "big5", 0xC6),
    "shift_jis": _japanese,
    "euc-jp": _japanese,
    "euc-kr": _hangul,
    "cp850": _alphabet(LATIN_1),
    "cp852": _alphabet(LATIN_2),
    "mac-roman": _alphabet(LATIN_1),
}
CODECS = {"shift_jis": "cp932", "euc-kr": "cp949"}  # as Windows writes them
OUTDATED = ("mac-cyrillic", "iso8859-5", "koi8-u", "cp850", "cp852", "mac-roman")
PRIOR = 0.85  # factor of outdated ones
IN_ASCII_WORDS = ("cp1252", "cp1250", "iso8859-2", "cp1254", "cp1257", "cp850", "cp852", "mac-roman")


@dataclass(frozen=True)
class Guess:
    """An encoding, the score of its text, from 0 to 1, and that text."""

    encoding: str
    score: float
    text: str

    @property
    def told(self) -> str:
        """The encoding and the first words that it changes."""
        return f"{self.encoding} gives {shown(self.text)!r}"


def rank(content: bytes) -> list[Guess]:
    """Encodings other than UTF that give letters of a language, the likeliest first; one of equal texts."""
    found: dict[str, Guess] = {}
    for encoding in WEIGHTS:
        try:
            text = content.decode(CODECS.get(encoding, encoding))
        except UnicodeDecodeError:
            continue
        if text not in found:
            found[text] = Guess(encoding, score(text, encoding), text)
    ranked = sorted(found.values(), key=lambda guess: -guess.score)
    least = max(MIN_SCORE, CLOSE * ranked[0].score) if ranked else 0
    return [guess for guess in ranked if guess.score >= least][:MAX_NAMED]


def score(text: str, encoding: str) -> float:
    """Mean weight of the characters beyond ASCII, 0..1; 0 with control characters."""
    if CONTROL.search(text):
        return 0.0
    weigh, in_ascii_words = WEIGHTS[encoding], encoding in IN_ASCII_WORDS
    total, number = 0.0, 0
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if character.isascii():
            continue
        number += 1
        if character in SIGNS:
            total += SIGN
        elif unicodedata.category(character)[0] in "LM":
            total += weigh(character) * _fit(before, character, after, in_ascii_words)
    prior = PRIOR if encoding in OUTDATED else 1.0
    return prior * total / number if number else 0.0


def _fit(before: str, character: str, after: str, in_ascii_words: bool) -> float:
    """Factor for the neighbours of a letter: alphabets do not mix in a word, and capitals begin it."""
    factor = 1.0
    letters = [side for side in (before, after) if side.isalpha()]
    if in_ascii_words and not any(side.isascii() for side in letters):
        factor = 0.4  # words of accented letters only
    if not in_ascii_words and any(side.isascii() for side in letters):
        factor = 0.2
    if character in HEBREW_FINALS and after.isalpha():
        factor *= 0.2
    if character.isupper() and before.isalpha():
        factor *= 0.3 if before.islower() else 0.7
    return factor


def shown(text: str) -> str:
    """The first words of a text that hold a character beyond ASCII."""
    start = next((number for number, character in enumerate(text) if not character.isascii()), 0)
    start = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1
    return " ".join(text[start : start + 3 * SAMPLE_LENGTH].split())[:SAMPLE_LENGTH]
