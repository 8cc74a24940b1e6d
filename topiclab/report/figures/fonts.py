"""Fonts: families found on this machine that have the characters of a figure's texts."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

log = logging.getLogger(__name__)

BASE = "DejaVu Sans"  # comes with matplotlib
WITHOUT_GLYPH = ("Z", "C")  # first letters of the categories that need none: separators, control characters
SHAPED = ("ARABIC", "HEBREW", "SYRIAC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL")
SHAPED += ("TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER")
NAMES = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
LESS_PLAIN = ("Serif", "Mono", "Condensed", "Display", "Looped", "Kufi", "Nastaliq", "Naskh", "UI", "Slanted")


def families_for(texts: Iterable[str]) -> list[str]:
    """Names of font families that together have the characters of the texts, matplotlib's own first.

    Warns once of each script that no font of the machine has, with what to install, and of scripts whose
    letters this matplotlib does not join and order.
    """
    needed = _needed(texts)
    families, missing = _families(frozenset(needed))
    for script, letters in _by_script(missing).items():
        _warn_of_missing(script, letters[0], len(letters))
    if not can_shape():
        for script in _by_script(needed):
            if script.upper() in SHAPED:
                _warn_of_shaping(script)
    return list(families)


def file_for(texts: Iterable[str]) -> str:
    """Path of the single font that has most characters of the texts, for a library that takes one font."""
    counts = Counter(letter for text in texts for letter in text if _has_glyph(letter))
    own = next(iter(_faces(BASE)))
    if not (missing := [letter for letter in counts if not _has(own, letter)]):
        return own
    least = sum(counts.values()) - sum(counts[letter] for letter in missing)
    path, most = max(
        ((path, sum(counts[letter] for letter in counts if _has(path, letter))) for path in _plain_files()),
        key=lambda found: (found[1], *_rank(found[0])),
        default=(own, least),
    )
    return path if most > least else own


def has_all(path: str, text: str) -> bool:
    """True if the font of a file has every character of a text."""
    return all(_has(path, letter) for letter in _needed([text]))


def can_shape() -> bool:
    """True if matplotlib joins Arabic letters, places marks and orders right-to-left text (from 3.11 on)."""
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")


def script_of(letter: str) -> str:
    """Name of a character's script, such as Chinese or Devanagari."""
    first = unicodedata.name(letter, "other").split()[0].partition("-")[0]
    return NAMES.get(first, first.title())


def _needed(texts: Iterable[str]) -> set[str]:
    return {letter for letter in set().union(*texts) if _has_glyph(letter)}


def _has_glyph(letter: str) -> bool:
    return unicodedata.category(letter)[0] not in WITHOUT_GLYPH and not "\ufe00" <= letter <= "\ufe0f"


def _by_script(letters: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for letter in sorted(letters):
        found.setdefault(script_of(letter), []).append(letter)
    return found


@cache
def _families(needed: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families, and the characters that no font has: greedily the font with most of those still missing."""
    own = next(iter(_faces(BASE)))
    missing = {letter for letter in needed if not _has(own, letter)}
    found = [BASE]
    while missing:
        held = {path: sum(_has(path, letter) for letter in missing) for path in _plain_files()}
        path = max(held, key=lambda path: (held[path], *_rank(path)), default="")
        if not held.get(path):
            break
        found.append(_family(path, needed))
        missing = {letter for letter in missing if not _has(path, letter)}
    return tuple(found), frozenset(missing)


def _family(path: str, needed: frozenset[str]) -> str:
    """Family of a file, after matplotlib has learnt of its files; of a collection, the one of the region."""
    stem = Path(path).stem.partition("-")[0]
    for other in sorted(_system_files()):
        if Path(other).parent == Path(path).parent and Path(other).stem.partition("-")[0] == stem:
            _learn(other)
    scripts = set(map(script_of, needed))
    region = "JP" if "Japanese" in scripts else "KR" if "Korean" in scripts else "SC"
    return max(
        _faces(file=path).values(),
        key=lambda name: (not any(word in name for word in LESS_PLAIN), name.endswith(region), name),
    )


def _faces(family: str | None = None, file: str | None = None) -> dict[str, str]:
    """Keys and family names of the fonts that matplotlib knows of this family, or in this file.

    Keys: the path for a family, the name for a file, which may hold several families.
    """
    from matplotlib.font_manager import fontManager

    fonts = sorted(fontManager.ttflist, key=lambda font: (font.style != "normal", font.weight != 400))
    if file is not None:
        return {font.name: font.name for font in fonts if font.fname == file}
    return {font.fname: font.name for font in fonts if font.name == family}


def _learn(path: str) -> None:
    """Make matplotlib know a font that was installed after it had listed those of the machine."""
    from matplotlib.font_manager import fontManager

    if all(font.fname != path for font in fontManager.ttflist):
        fontManager.addfont(path)


@cache
def _system_files() -> frozenset[str]:
    """Paths of the fonts on this machine, also those newer than matplotlib's list, without its own."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    return frozenset([*findSystemFonts(), *(font.fname for font in fontManager.ttflist)])


@cache
def _plain_files() -> tuple[str, ...]:
    """Readable fonts of `_system_files`, without bold and slanted ones."""
    loud = ("bold", "italic", "oblique", "light", "thin", "black", "medium", "lastresort")
    files = [path for path in _system_files() if not any(word in Path(path).stem.lower() for word in loud)]
    return tuple(sorted(path for path in files if _face(path) is not None))


def _rank(path: str) -> tuple[bool, bool, str]:
    """Preference among fonts that have the same characters: sans serif and plain first, Noto among these."""
    stem = Path(path).stem
    return not any(word in stem for word in LESS_PLAIN), stem.startswith("NotoSans"), path


@cache
def _face(path: str) -> FT2Font | None:
    """Font of a file as matplotlib reads it; None if it cannot."""
    from matplotlib.ft2font import FT2Font

    try:
        return FT2Font(path)
    except (RuntimeError, OSError):
        return None


def _has(path: str, letter: str) -> bool:
    face = _face(path)
    return face is not None and face.get_char_index(ord(letter)) != 0


@cache
def _warn_of_missing(script: str, letter: str, num: int) -> None:
    package = "fonts-noto-cjk" if script in NAMES.values() else "fonts-noto-core"
    log.warning(
        "no font of this machine has %s (%d characters, such as U+%04X): figures show boxes there; install "
        "one, such as Debian's %s, or put its .ttf or .otf file into ~/.local/share/fonts, and draw again",
        script,
        num,
        ord(letter),
        package,
    )


@cache
def _warn_of_shaping(script: str) -> None:
    import matplotlib

    log.warning(
        "matplotlib %s does not join and order the letters of %s, which 3.11 does (Python 3.11 or later)",
        matplotlib.__version__,
        script,
    )
