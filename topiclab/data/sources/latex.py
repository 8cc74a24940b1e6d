"""LaTeX to plain text, for titles and abstracts as arXiv holds them."""

from __future__ import annotations

import re
import unicodedata
from importlib import import_module
from typing import Any

import pyarrow

compute: Any = import_module("pyarrow.compute")  # its functions are created at import

# One table of bytes removes the line ends of a whole column; only rows that need more are read one by one.
SPACES = bytes(32 if code < 32 or code == 127 else code for code in range(256))
NEEDS_MORE = r"[$\\{}~]|  "

COMBINING = {
    **{
        "'": "\u0301",
        "`": "\u0300",
        "^": "\u0302",
        '"': "\u0308",
        "~": "\u0303",
        "=": "\u0304",
        ".": "\u0307",
    },
    **{
        "H": "\u030b",
        "c": "\u0327",
        "u": "\u0306",
        "v": "\u030c",
        "k": "\u0328",
        "r": "\u030a",
        "d": "\u0323",
    },
    **{"b": "\u0331"},
}
SYMBOLS = {
    **{"ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ"},
    **{"aa": "å", "AA": "Å", "i": "i", "j": "j", "S": "§", "dag": "†", "pounds": "£", "copyright": "©"},
    **{"times": "×", "cdot": "·", "pm": "±", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠"},
    **{"neq": "≠", "approx": "≈", "sim": "~", "simeq": "≃", "equiv": "≡", "ll": "≪", "gg": "≫", "in": "∈"},
    **{"to": "→", "rightarrow": "→", "leftarrow": "←", "infty": "∞", "ldots": "…", "dots": "…", "ell": "ℓ"},
    **{"cdots": "…", "circ": "°", "partial": "∂", "nabla": "∇", "lesssim": "≲", "gtrsim": "≳"},
    **{"textasciitilde": "~", "textbackslash": "\\"},
}
# Commands that only format their argument or set spacing; the names of all others stay as words.
FORMATS = frozenset(
    re.findall(
        r"\w+",
        """
    emph em it bf tt sc sf rm sl cal text textit textbf texttt textsc textsf textrm textsl textmd textup
    textnormal underline mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak mathscr boldsymbol bm
    pmb mbox hbox operatorname ensuremath url footnote left right big Big bigg Bigg bigl bigr Bigl Bigr
    displaystyle textstyle scriptsize small large noindent par xspace quad qquad textsuperscript
    textsubscript overline bar hat tilde vec dot ddot widehat widetilde item begin end protect uppercase
    lowercase
    """,
    )
)
# Both patterns begin with characters, not with a lookbehind: only then does `re` skip to the next candidate.
# Without a command, what is not signs alone may be a price: it must touch both $, and no digit may follow.
MATH = re.compile(
    r"""
    \$(?<!\\\$)\$?
    (?: ((?=[^$]*\\[A-Za-z]|[^$\w]*\$)[^$]*[^$\\]) | (?=[^\s$])([^$]*[^\s$\\])(?=\$\$?(?!\d)) )
    \$\$?
    """,
    re.VERBOSE,
)
MARKUP = re.compile(
    r"""
    \\(?P<accent>['`^"~=.]|[Hcuvkrdb](?=[\s{]))\s*(?:\{\s*\\?(?P<braced>[^\W\d_])\s*\}|\\?(?P<bare>[^\W\d_])(?![^\W\d_]{2,}\{))
    | \\(?:cite|citep|citet|ref|eqref|label)\s*\{[^{}]*\}
    | \\href\s*\{[^{}]*\}
    | \\frac\s*\{(?P<above>[^{}\\]*)\}\s*\{(?P<below>[^{}\\]*)\}
    | \\(?P<name>[A-Za-z]+)\*?(?P<gap>\s*)(?:\{\})?
    | \\(?P<escaped>[%$&_#{}])
    | \\(?P<space>[\\,;:/\s!@()\[\]-])
    | ~(?<=[^\s/]~)(?=[^\s/])
    | \{ | \}
    """,
    re.VERBOSE,
)


def plain_column(column: pyarrow.StringArray) -> pyarrow.StringArray:
    """Apply `plain_text` to a column of texts; nulls become ""."""
    column = column.fill_null("")
    if column.offset:
        column = pyarrow.concat_arrays([column])
    _, offsets, data = column.buffers()
    if data is None:
        return column
    spaced = pyarrow.py_buffer(data.to_pybytes().translate(SPACES))
    column = compute.ascii_trim(pyarrow.StringArray.from_buffers(len(column), offsets, spaced), " ")
    needs_more = compute.match_substring_regex(column, NEEDS_MORE)
    cleaned = [plain_text(text) for text in column.filter(needs_more).to_pylist()]
    return compute.replace_with_mask(column, needs_more, pyarrow.array(cleaned, pyarrow.string()))


def plain_text(text: str) -> str:
    r"""One line of text: \emph{x} is x, \'e is é, $\alpha x_{i}$ is alpha x_i, \cite{x} is nothing.

    Formatting commands are dropped, other names stay as words, and white space becomes one space.
    """
    text = MATH.sub(r"\1\2", text)
    return " ".join(MARKUP.sub(_plain, text).split())


def _plain(match: re.Match[str]) -> str:
    if accent := match["accent"]:
        return unicodedata.normalize("NFC", (match["braced"] or match["bare"]) + COMBINING[accent])
    if match["above"] is not None:
        return f"{match['above']}/{match['below']}"
    if name := match["name"]:
        if name in FORMATS:
            return " " if match["gap"] else ""
        return _apart(match, SYMBOLS[name]) if name in SYMBOLS else _apart(match, name)
    if match["escaped"]:
        return match["escaped"]
    if match["space"]:
        return "" if match["space"] in "!@/-()[]" else " "
    return " " if match.group() == "~" else ""


def _apart(match: re.Match[str], word: str) -> str:
    """The word of a command, with the spaces that separate it from its neighbours."""
    text = match.string
    if match["name"] in SYMBOLS and word.isalpha() and word != "ℓ":
        return word  # a letter: the white space after it only ends the command's name
    before = " " if match.start() and text[match.start() - 1].isalnum() and word.isalpha() else ""
    following = text[match.end() : match.end() + 1]
    is_apart = bool(match["gap"]) or (word.isalpha() and (following.isalnum() or following == "\\"))
    return f"{before}{word}{' ' if is_apart else ''}"
