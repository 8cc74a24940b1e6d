"""Titles: of every document a line to show, its own or the beginning of its text."""

from __future__ import annotations

import re

from topiclab.data.corpus import Corpus

MAX_SENTENCE_LENGTH = 100
BEGINNING = 4 * MAX_SENTENCE_LENGTH  # characters of a text in which its first sentence is looked for
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\Wa-z_])|(?<=[。！？])")


def titles_of(corpus: Corpus) -> list[str]:
    """D titles on one line each; without one, the first sentence of the text (`first_sentence`)."""
    titles = corpus.titles or ("",) * corpus.num_docs
    return [
        " ".join(title.split()) or first_sentence(text)
        for title, text in zip(titles, corpus.texts, strict=True)
    ]


def first_sentence(text: str) -> str:
    """The first sentence in at most MAX_SENTENCE_LENGTH characters."""
    beginning = text.lstrip()[:BEGINNING]
    return shorten(SENTENCE_END.split(beginning, maxsplit=1)[0], MAX_SENTENCE_LENGTH)


def shorten(text: str, length: int) -> str:
    """Text on one line, cut behind a word where it is longer; at most `length` characters with its …."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    start = text[:length]
    head, space, _ = start.rpartition(" ")
    return f"{(head if space else start[:-1]).rstrip(' ,;:.-–—(')}…"
