"""Stop words: lists of languages, own words, and contractions in the places where they stand."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

import numpy as np

from topiclab.data.words.function_words import function_words, words_of
from topiclab.data.words.letters import MARKS
from topiclab.data.words.normal_form import normal

log = logging.getLogger(__name__)

OWN = {"none": "none", "english": "english", "en": "english", "chinese": "chinese", "zh": "chinese"}
APOSTROPHES = "'\u2018\u2019\u201b\u02bc\u00b4\u2032\uff07"
APOSTROPHE = re.compile(f"[{APOSTROPHES}]")
EDGES = re.compile(rf"^[^\w{MARKS}{APOSTROPHES}]+|[^\w{MARKS}{APOSTROPHES}]+$")
# Letters of other code pages in the lists of the package stop-words: Latin-1 for Latin-5 and Latin-2.
REPAIRS = {"turkish": str.maketrans("ýþð", "ışğ"), "hungarian": str.maketrans("õû", "őű")}
# Vowel points, which most texts leave out, and the stroke that stretches a word: no list has them throughout.
POINTS = dict.fromkeys([*range(0x5B0, 0x5C8), 0x640, *range(0x64B, 0x653), 0x670])


@dataclass(frozen=True)
class StopWords:
    """Words that are left out wherever they stand, and the pattern of contractions; None without any.

    words: in the form of `key`.
    """

    words: frozenset[str]
    contractions: re.Pattern[str] | None

    def holds(self, words: Sequence[str]) -> np.ndarray:
        """Which words are stop words: (W,) bool."""
        return np.array(
            [(word if word.islower() and word.isascii() else key(word)) in self.words for word in words],
            dtype=bool,
        )

    def without_contractions(self, text: str) -> str:
        """The text with blanks in the place of contractions, so that `won't` leaves no `won`."""
        if self.contractions is None or not APOSTROPHE.search(text):
            return text
        return self.contractions.sub(lambda found: " " * len(found.group()), text)


def key(word: str) -> str:
    """A word in lower case and form NFC, without the vowel points of Arabic and Hebrew."""
    return word.lower() if word.isascii() else normal(word, True).translate(POINTS)


@lru_cache(maxsize=8)
def stop_words(chosen: str | tuple[str, ...] | None, own: tuple[str, ...] = ()) -> StopWords:
    """Stop words of a language, or of a list of languages and words; None and `none` are the empty set.

    own: further words, none of them a language.
    english is scikit-learn's list with contractions; chinese is our own; the other languages come from the
    package stop-words (extra `languages`). ValueError for an unknown language and for words with a blank.
    """
    entries: list[str] = []
    if isinstance(chosen, str):
        entries += of_language(chosen)
    for entry in () if chosen is None or isinstance(chosen, str) else chosen:
        entries += of_language(entry) if entry in names() else _own(entry)
    entries += own
    forms = {APOSTROPHE.sub("'", form) for entry in entries if APOSTROPHE.search(form := key(entry))}
    return StopWords((frozenset(map(key, entries)) | forms) - {""}, _pattern(sorted(forms)))


def names() -> list[str]:
    """Languages whose stop words are known, by name; without the package stop-words only our own."""
    try:
        from stop_words import AVAILABLE_LANGUAGES
    except ImportError:
        return sorted({*OWN.values()})
    return sorted({*OWN.values(), *AVAILABLE_LANGUAGES})


def of_language(language: str) -> list[str]:
    """Stop words of a language, given by name or code, with its contractions."""
    language = OWN.get(language, language)
    if language == "none":
        return []
    if language == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return [*ENGLISH_STOP_WORDS, *words_of("remains", language), *words_of("contractions", language)]
    if language == "chinese":
        return list(function_words("chinese"))
    try:
        from stop_words import LANGUAGE_MAPPING, get_stop_words
    except ImportError as error:
        raise ImportError(
            f"data.vocabulary.stop_words={language} needs the package stop-words: "
            "pip install 'topiclab[languages]', or use stop_words=english or stop_words=none"
        ) from error
    language = LANGUAGE_MAPPING.get(language, language)
    if language not in names():
        near = get_close_matches(language, names(), n=1)
        meant = f"; did you mean {near[0]}?" if near else ";"
        raise ValueError(
            f"data.vocabulary.stop_words={language} is unknown{meant} available: {', '.join(names())}; a "
            f"word of your own stands in a list: [english,{language}] or in a file, such as ./stop.txt"
        )
    listed = (EDGES.sub("", word.translate(REPAIRS.get(language, {}))) for word in get_stop_words(language))
    return [word for word in listed if word] + words_of("contractions", language)


def _own(entry: str) -> list[str]:
    """An entry that is a word; a warning where a language was probably meant."""
    if len(entry.split()) != 1:
        raise ValueError(
            f"data.vocabulary.stop_words: {entry!r} is not one word, but words are left out one by one; "
            "give each by itself"
        )
    if near := get_close_matches(entry.lower(), set(names()) - {"none"}, n=1, cutoff=0.8):
        log.warning(
            "data.vocabulary.stop_words: %s is left out as a word; the language is %s", entry, near[0]
        )
    return [entry]


def _pattern(forms: Sequence[str]) -> re.Pattern[str] | None:
    if not forms:
        return None
    after = r"(?!(?!\u02bc)\w)"  # one of the apostrophes is a letter: shouldn't've
    wholes = [form for form in forms if not form.startswith("'") and not form.endswith("'")]
    groups = (
        (r"(?<!\w)", wholes, after),
        (r"(?<!\w)", [form for form in forms if form.endswith("'")], r"(?=\w)"),
        (r"(?<=\w)", [form for form in forms if form.startswith("'")], after),
    )
    spelled = [
        f"{before}(?:{'|'.join(map(re.escape, found))}){behind}" for before, found, behind in groups if found
    ]
    return re.compile("|".join(spelled).replace("'", APOSTROPHE.pattern), re.IGNORECASE)
