"""Labels of topics: "{keyword} | {title}", with the title of the topic's most representative document."""

from __future__ import annotations

from collections.abc import Sequence

from topiclab.data.sources.latex import plain_text
from topiclab.describe.representatives import Representatives
from topiclab.describe.terms import Terms
from topiclab.describe.titles import shorten

MAX_TITLE_LENGTH = 80  # characters
SEPARATOR = " | "


def label_topics(
    terms: Terms, titles: Sequence[str], chosen: Representatives, names: Sequence[str] | None = None
) -> list[str]:
    """K distinct labels of the form "{keyword} | {cleaned title}".

    titles: D titles.  A keyword or title already used by an earlier topic is replaced by the next best.
    names: K keywords from a language model (`names.written_names`), "" where it gave none.
    """
    labels: list[str] = []
    keywords: set[str] = set()
    shown: set[str] = set()
    for topic, ranked in enumerate(terms.keywords):
        ranked = [names[topic], *ranked] if names is not None else ranked
        keyword = next((word for word in ranked if word and word not in keywords), f"topic {topic}")
        rows: list[int] = [row for row in chosen.nearest[topic].tolist() if row >= 0]
        cleaned = [clean_title(titles[row]) for row in rows]
        title = next((title for title in cleaned if title and title not in shown), "")
        keywords.add(keyword)
        shown.add(title)
        labels.append(f"{keyword}{SEPARATOR}{title}" if title else keyword)
    return labels


def clean_title(title: str) -> str:
    """Return a title without LaTeX and control characters, cut after a word to MAX_TITLE_LENGTH."""
    printable = "".join(sign if sign.isprintable() else " " for sign in title)
    return shorten(plain_text(printable), MAX_TITLE_LENGTH)
