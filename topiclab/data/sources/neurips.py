"""NeurIPS papers: titles, abstracts and keywords, from OpenReview's listing or the Kaggle papers.csv."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from topiclab.data.documents import Document
from topiclab.data.sources.file import column_names, read_records
from topiclab.data.sources.latex import MATH, plain_text

FILES = ("neurips2022.parquet", "papers.csv")
ORIGIN = "https://www.kaggle.com/datasets/benhamner/nips-papers or OpenReview's listing of a year"
IDS = ("paper_id", "id")
MISSING = "abstract missing"  # in papers.csv in place of an abstract
ADDRESS = re.compile(r"https?://\S+|www\.\S+|\b[\w.-]+\.(?:com|org|io|edu)/\S*")
DISPLAYED = re.compile(
    r"\\\(.+?\\\)|\\\[.+?\\\]|\\begin\{(equation|align)\*?\}.+?\\end\{\1\*?\}",
    re.DOTALL,
)


def neurips_documents(path: Path | None, has_keywords: bool, encoding: str = "utf-8") -> Iterator[Document]:
    """Papers in file order, as "{title}. {abstract}", followed by the keywords if has_keywords.

    A paper without an abstract is a blank text. Columns: title, abstract and paper_id or id; keywords and
    year where the file has them. Raises as `read_documents` does.
    """
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"data=neurips: no file {path}; put {' or '.join(FILES)} into that folder or the one "
            f"$TOPICLAB_DATA names, or give data.path=<file>: {ORIGIN}"
        )
    present = column_names(path, encoding)
    identity = next((name for name in IDS if name in present), IDS[0])
    columns = [identity, "title", "abstract", *(name for name in ("keywords", "year") if name in present)]
    for record in read_records(path, columns, encoding):
        title, abstract = (clean_text(record[name] or "") for name in ("title", "abstract"))
        keywords = clean_text(record.get("keywords") or "") if has_keywords else ""
        text = _joined(title, abstract, keywords)
        yield Document(text, id=str(record[identity]), timestamp=record.get("year"), title=title)


def _joined(title: str, abstract: str, keywords: str) -> str:
    """The parts that are not blank, joined to one text; '' without an abstract."""
    if not abstract or abstract.lower() == MISSING:
        return ""
    return ". ".join(part.rstrip(".") for part in (title, abstract, keywords) if part)


def clean_text(text: str) -> str:
    """Text as one line without addresses and maths; `plain_text` handles other LaTeX."""
    return plain_text(MATH.sub(" ", DISPLAYED.sub(" ", ADDRESS.sub(" ", text))))
