"""Published corpora of short texts and of prose, in their own files or as Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from topiclab.data.documents import Document
from topiclab.data.sources.file import read_documents, read_records

# The tags numbered 1..20 in label_StackOverflow.txt, in the order of its README.
STACKOVERFLOW_TAGS = (
    "wordpress",
    "oracle",
    "svn",
    "apache",
    "excel",
    "matlab",
    "visual-studio",
    "cocoa",
    "osx",
    "bash",
    "spring",
    "hibernate",
    "scala",
    "sharepoint",
    "ajax",
    "qt",
    "drupal",
    "linq",
    "haskell",
    "magento",
)


ORIGINS = {
    "stackoverflow": "title_StackOverflow.txt with label_StackOverflow.txt beside it from "
    "https://github.com/jacoxu/StackOverflow (rawText)",
    "tweet_topic": "tweet_topic.tsv from https://github.com/raymondzmc/DSL-Topic (data/raw_data)",
    "ag_news": "its test part, as a table with columns text, label_name, from "
    "https://huggingface.co/datasets/fancyzhx/ag_news",
}


PARQUET = ("20newsgroups", "stackoverflow", "tweet_topic", "ag_news", "prose")
FILES = {name: f"{name}.parquet" for name in PARQUET}


def published_documents(source: str, path: Path | None, encoding: str) -> Iterator[Document]:
    """StackOverflow titles, TweetTopic or AG's News, from Parquet (text, label_name) or published files."""
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"data={source}: no file {path}; put {FILES[source]} (columns text, label_name) into that folder "
            f"or the one $TOPICLAB_DATA names, or give data.path=<file> of the original: {ORIGINS[source]}"
        )
    if source == "stackoverflow" and path.suffix == ".txt":
        return _stackoverflow_titles(path, encoding)
    return read_documents(path, "text", "label_name", encoding=encoding)


def prose_documents(path: Path | None) -> Iterator[Document]:
    """Texts of prose.parquet; their source is their label and prefixes their ids."""
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"data=prose: no file {path}; put prose.parquet (columns source, id, text) into that folder or "
            "the one $TOPICLAB_DATA names, or give data.path=<file>"
        )
    for record in read_records(path, ["source", "id", "text"]):
        yield Document(record["text"], f"{record['source']}/{record['id']}", record["source"])


def _stackoverflow_titles(path: Path, encoding: str) -> Iterator[Document]:
    """Titles with their tags: line n of title_*.txt is a title, line n of label_*.txt its tag, 1..20."""
    labels = path.with_name(path.name.replace("title", "label"))
    tags = {str(number): tag for number, tag in enumerate(STACKOVERFLOW_TAGS, 1)}
    pairs = zip_longest(read_documents(path, "text", encoding=encoding), read_documents(labels, "text"))
    for line, (title, number) in enumerate(pairs, 1):
        if title is None or number is None or number.text.strip() not in tags:
            raise ValueError(f"{labels}, line {line}: needs a number 1..20 for each title of {path.name}")
        yield title._replace(label=tags[number.text.strip()])
