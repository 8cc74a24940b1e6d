"""Texts without links, markup, entities and e-mail addresses, as `data.clean` asks."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Sequence

log = logging.getLogger(__name__)

WARN_SHARE = 0.05  # of the documents
# Elements that may end within a word.
INLINE = frozenset(
    """
    a abbr b bdi bdo big cite code del dfn em font i ins kbd mark q s samp small span strike strong sub sup
    tt u var wbr
    """.split()  # noqa: SIM905
)
BLOCKS = """
    address article aside audio base blockquote body br button canvas caption center col colgroup dd details
    div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr
    html iframe img input label legend li link main map meta nav noscript object ol optgroup option p param
    picture pre script section select source style summary svg table tbody td template textarea tfoot th thead
    time title tr track ul video
""".split()  # noqa: SIM905
# Only known elements: "if a <b and c> d" is no markup, nor is an address in angle brackets.
NAMES = "|".join(sorted({*INLINE, *BLOCKS}, key=len, reverse=True))
TAG = re.compile(
    rf"</?(?P<name>{NAMES})(?:\s+[\w:-]+\s*=[^<>]*)?\s*/?>|<!--.*?-->|<!DOCTYPE[^<>]*>",
    re.IGNORECASE | re.DOTALL,
)
UNSEEN = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Addresses are ASCII: Chinese and Japanese sentences go on behind them without a space.
LINK = re.compile(
    r"""(?:\b(?:https?|ftp)://|\bwww\.)[!#-;=?-~]*[\w/#=&%+-]"""
    r"""|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io|ly|co|me|cn|de|uk|fr)/[!#-;=?-~]*""",
    re.ASCII | re.IGNORECASE,
)
EMAIL = re.compile(r"(?:\bmailto:)?\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
MARKDOWN = (
    (re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE), ""),  # fences
    (re.compile(r"^[ \t]*\[[^\]\n]+\]:[ \t]*\S+.*$", re.MULTILINE), ""),  # link definitions
    (re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()]*\)[^()]*)?(?:\s+\"[^\"]*\")?\)"), r"\1"),
    (re.compile(r"^[ \t]{0,3}(?:[-*_][ \t]*){3,}$", re.MULTILINE), ""),  # rules
    (re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|(?:>[ \t]?)+|[-*+][ \t]+|\d{1,3}[.)][ \t]+)", re.MULTILINE), ""),
    (re.compile(r"(?<![\w*])\*{1,3}(?=[^\s*])(.+?)(?<=[^\s*])\*{1,3}(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_{1,3}(?=[^\s_])(.+?)(?<=[^\s_])_{1,3}(?![\w_])"), r"\1"),
    (re.compile(r"~~(?=\S)(.+?)(?<=\S)~~"), r"\1"),
    (re.compile(r"`+([^`\n]+)`+"), r"\1"),
)
BLANKS = re.compile(r"[ \t\u00a0]{2,}")
# What `report_unclean` looks for: a sign that is fast to find, and the form.
SIGNS = {
    "links": (("://", "www."), LINK, "links"),
    "markup": (("<",), TAG, "HTML tags"),
    "entities": (("&",), ENTITY, "entities such as &amp;"),
    "emails": (("@",), EMAIL, "e-mail addresses"),
}


def clean_text(text: str, kinds: Sequence[str]) -> str:
    """Text without `kinds`, any of SIGNS; words of markup, such as the text of a link, stay.

    Entities come first, because escaped tags are tags.
    """
    before = text
    if "entities" in kinds and "&" in text:
        for _ in range(2):  # &amp;lt; is escaped twice
            text = ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "markup" in kinds:
        if "<" in text:
            text = TAG.sub(_gap, UNSEEN.sub(" ", text))
        for pattern, kept in MARKDOWN:
            text = pattern.sub(kept, text)
    if "links" in kinds:
        text = LINK.sub(" ", text)
    if "emails" in kinds and "@" in text:
        text = EMAIL.sub(" ", text)
    return text if text == before else BLANKS.sub(" ", text).strip()


def _gap(tag: re.Match[str]) -> str:
    return "" if (tag["name"] or "").lower() in INLINE else " "


def report_unclean(texts: Sequence[str], name: str, cleaned: Sequence[str]) -> None:
    """Warn of links, tags and the like in more than WARN_SHARE of the documents; name: of the corpus."""
    found = {
        kind: share
        for kind, (signs, form, _) in SIGNS.items()
        if kind not in cleaned
        and (share := sum(any(sign in text for sign in signs) and bool(form.search(text)) for text in texts))
        > WARN_SHARE * len(texts)
    }
    if found:
        told = ", ".join(f"{number / len(texts):.0%} hold {SIGNS[kind][2]}" for kind, number in found.items())
        log.warning(
            "corpus %s: of the documents %s; data.clean=[%s] removes them",
            name,
            told,
            ",".join([*cleaned, *found]),
        )
