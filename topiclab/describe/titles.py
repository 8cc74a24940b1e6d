"""Titles: one line to display for every document, its own title or the beginning of its text."""

from __future__ import annotations

import re

from topiclab.data.corpus import Corpus

MAX_SENTENCE_LENGTH = 100  # characters
BEGINNING = 4 * MAX_SENTENCE_LENGTH  # characters of a text that are searched for its first sentence
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\Wa-z_])|(?<=[。！？])")


def titles_of(corpus: Corpus) -> list[str]:
    """Titles of the D documents, each on one line; without a title, the first sentence (`first_sentence`)."""
    titles = corpus.titles or ("",) * corpus.num_docs
    return [
        " ".join(title.split()) or first_sentence(text)
        for title, text in zip(titles, corpus.texts, strict=True)
    ]


def first_sentence(text: str) -> str:
    """Return the first sentence, shortened to at most MAX_SENTENCE_LENGTH characters."""
    beginning = text.lstrip()[:BEGINNING]
    return shorten(SENTENCE_END.split(beginning, maxsplit=1)[0], MAX_SENTENCE_LENGTH)


def shorten(text: str, length: int) -> str:
    """Put a text on one line of at most `length` characters; a longer one is cut after a word, with …."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    start = text[:length]
    head, space, _ = start.rpartition(" ")
    return f"{(head if space else start[:-1]).rstrip(' ,;:.-–—(')}…"
