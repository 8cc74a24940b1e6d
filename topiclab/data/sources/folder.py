"""Text to train a language model on: several corpora one after another, or the files of a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from topiclab.config.compose import conf_dir
from topiclab.data.documents import Document
from topiclab.data.sources.file import read_documents
from topiclab.data.sources.whole_files import files_of, text_of

log = logging.getLogger(__name__)

CORPORA = ("arxiv", "20newsgroups", "stackoverflow", "tweet_topic", "prose", "lee")
WHOLE = (".txt", ".md")  # one document each
LINES = (".jsonl", ".ndjson")


def corpus_group(name: str) -> dict[str, Any]:
    """The group `data` of data=<name>, for one of CORPORA."""
    if name not in CORPORA:
        raise ValueError(f"data.corpora: there is no text corpus {name}; use any of {', '.join(CORPORA)}")
    folder = conf_dir() / "data"
    parts = [
        yaml.safe_load((folder / f"{part}.yaml").read_text(encoding="utf-8")) for part in ("_base", name)
    ]
    return {key: value for part in parts for key, value in part.items() if key != "defaults"}


def named_after(corpus: str, documents: Iterator[Document]) -> Iterator[Document]:
    """The documents labelled with the name of their corpus, which also prefixes their ids."""
    for document in documents:
        identity = None if document.id is None else f"{corpus}/{document.id}"
        yield document._replace(id=identity, label=corpus)


def folder_documents(path: Path, text_column: str, encoding: str) -> Iterator[Document]:
    """Documents of a folder tree, sorted by path, or of one file: one a file, or one a line of a .jsonl.

    Labels are the top-level folders. Raises ValueError where there is no such file, or one is not text.
    """
    for file in files_of(path, (*WHOLE, *LINES), "give a folder with texts, or data=file for a table"):
        parts = file.relative_to(path if path.is_dir() else path.parent).parts
        label = parts[0] if len(parts) > 1 else None
        if file.suffix.lower() not in LINES:
            yield Document(text_of(file, encoding), "/".join(parts), label, origin=str(file))
            continue
        for document in read_documents(file, text_column, encoding=encoding):
            yield document._replace(label=label)
