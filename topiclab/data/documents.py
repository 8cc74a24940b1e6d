"""Documents: from a stream of raw records to a frozen Corpus, one policy for every source."""

from __future__ import annotations

import hashlib
import heapq
import logging
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from topiclab.data.corpus import SPLITS, Corpus
from topiclab.data.dropped import BLANK, DUPLICATE, Dropped
from topiclab.data.words.vocabulary import columns, count_tokens, fit_vocabulary
from topiclab.settings import Selection, Split, Vocabulary

log = logging.getLogger(__name__)

WARN_DUPLICATE_SHARE = 0.01
NUMBER = re.compile(r"-?\d+(\.\d+)?")
YEAR_OR_MONTH = re.compile(r"\d{4}(-\d\d)?")


class Document(NamedTuple):
    """One record of a source; a missing label or id is None.

    row: number of the record in the source, from 0, blank and repeated ones counted; None until
    `usable_documents` numbers them.
    """

    text: str
    id: str | None = None
    label: Any = None
    timestamp: Any = None
    title: str | None = None
    row: int | None = None


def build_corpus(
    documents: Iterable[Document], selection: Selection, vocabulary: Vocabulary, split: Split
) -> Corpus:
    """Read the stream once, drop blanks (and duplicates), sample, choose the vocabulary, count and split.

    Raises ValueError for fewer than two documents, repeated ids, an empty vocabulary, or shares of None.
    """
    dropped = Dropped()
    kept, info = usable_documents(documents, selection, dropped)
    if len(kept) < 2:
        raise ValueError(
            f"corpus {selection.name} has {len(kept)} usable documents ({info['read']} read, {info['blank']} "
            f"blank, {info['duplicates']} repeated), but a topic model needs at least 2; give more texts, or "
            "check data.path and data.text_column"
        )
    if not selection.deduplicate and info["duplicates"] > WARN_DUPLICATE_SHARE * info["read"]:
        log.warning(
            "corpus %s: %d of %d documents repeat an earlier text; data.deduplicate=true drops them",
            selection.name,
            info["duplicates"],
            info["read"],
        )
    texts = tuple(document.text for document in kept)
    if split.val is None or split.test is None:
        raise ValueError("documents have no makers' own division; give data.split.val and data.split.test")
    assigned = assign_split(texts, split.val, split.test)
    if SPLITS.index("train") not in assigned:
        raise ValueError(
            f"corpus {selection.name}: all {len(kept)} documents fell to validation and test, none to "
            "training; use data.split.val=0 data.split.test=0 for so few"
        )
    vocab, tokens = fit_vocabulary(texts, vocabulary)
    bow = count_tokens(tokens, vocab, vocabulary)
    labels, label_names = index_labels([document.label for document in kept])
    info["without_known_words"] = int((np.diff(bow.indptr) == 0).sum())
    return Corpus(
        name=selection.name,
        ids=tuple(str(document.id) for document in kept),
        texts=texts,
        vocab=vocab,
        bow=bow,
        token_ids=columns(tokens.words, vocab)[tokens.ids],
        token_offsets=tokens.offsets,
        split=assigned,
        labels=labels,
        label_names=label_names,
        timestamps=_timestamps(kept),
        titles=_titles(kept),
        info=info,
        source_rows=np.array([document.row for document in kept], np.int64),
        dropped=dropped,
    )


def usable_documents(
    documents: Iterable[Document], selection: Selection, dropped: Dropped | None = None
) -> tuple[list[Document], dict[str, int]]:
    """Documents with text, each with an id, deduplicated and sampled; and counts of what was dropped.

    dropped: is given the rows of the others.
    """
    info: dict[str, int] = {"read": 0, "blank": 0, "duplicates": 0}
    return list(_chosen(documents, selection, info, dropped)), info


def usable_texts(documents: Iterable[Document], selection: Selection) -> Iterator[str]:
    """Texts of `usable_documents`; memory holds one at a time, or selection.sample of them."""
    info: dict[str, int] = {"read": 0, "blank": 0, "duplicates": 0}
    return (document.text for document in _chosen(documents, selection, info))


def _chosen(
    documents: Iterable[Document],
    selection: Selection,
    info: dict[str, int],
    dropped: Dropped | None = None,
) -> Iterable[Document]:
    admitted = _admit(documents, selection.deduplicate, info, dropped)
    if selection.sample is None:
        return admitted
    if dropped is None:
        return _sample(admitted, selection.sample, selection.sample_seed)
    sample = _sample(dropped.unless_drawn(admitted), selection.sample, selection.sample_seed)
    dropped.drawn(sample)
    return sample


def assign_split(texts: Iterable[str], val: float, test: float) -> np.ndarray:
    """Split of each document, (D,) int8 index into SPLITS, from the hash of its text alone.

    Nothing else matters, neither the other documents nor a seed nor the id, so a document never moves when
    others come, go or change places, and all copies of a text land on the same side, whatever their ids.
    Test is cut first: changing val leaves test as it is. The shares are expectations; small corpora differ
    by chance.
    """
    if min(val, test) < 0 or val + test >= 1:
        raise ValueError(
            f"data.split.val={val} and data.split.test={test} are shares of the documents: "
            "each at least 0 and together below 1, because the rest is for training"
        )
    position = np.array([int(text_key(text)[:13], 16) / 16**13 for text in texts])
    split = np.full(len(position), SPLITS.index("train"), dtype=np.int8)
    split[position < val + test] = SPLITS.index("val")
    split[position < test] = SPLITS.index("test")
    return split


def text_key(text: str) -> str:
    """The first 128 bits of the sha256 of a text in Unicode form NFC, as 32 hex digits."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode("utf-8")).hexdigest()[:32]


def _admit(
    documents: Iterable[Document], deduplicate: bool, info: dict[str, int], dropped: Dropped | None
) -> Iterator[Document]:
    """Yield the documents with text, each with an id and its row, and count them in info.

    The id of a document without one is its text key; later copies get key-2, key-3 and so on.
    """
    copies: dict[str, int] = {}
    ids: set[str] = set()
    for row, document in enumerate(documents):
        info["read"] += 1
        if not document.text or document.text.isspace():
            info["blank"] += 1
            if dropped is not None:
                dropped.add(row, BLANK, document.id)
            continue
        _check_characters(document, info["read"])
        key = text_key(document.text)
        copies[key] = copies.get(key, 0) + 1
        if copies[key] > 1:
            info["duplicates"] += 1
            if deduplicate:
                if dropped is not None:
                    dropped.add(row, DUPLICATE, document.id)
                continue
        if document.id is None:
            yield document._replace(id=key if copies[key] == 1 else f"{key}-{copies[key]}", row=row)
            continue
        if document.id in ids:
            raise ValueError(
                f"id {document.id!r} of document {info['read']} was used before; ids must be unique: "
                "choose another data.id_column, or null to derive ids from the texts"
            )
        ids.add(document.id)
        yield document._replace(row=row)


def _check_characters(document: Document, number: int) -> None:
    for part, value in document._asdict().items():
        try:
            if isinstance(value, str):
                value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the {part} of document {number} holds half a surrogate pair at character {error.start}, "
                "which is not valid text; repair it where the file is written"
            ) from error


def _sample(documents: Iterable[Document], size: int, seed: int) -> list[Document]:
    """The `size` documents whose hashed (seed, id) is smallest, in their original order; memory holds `size`.

    A document's rank depends on its own id only: a sample of 100 is part of the sample of 200, and documents
    that are added later replace few.
    """
    if size < 2:
        raise ValueError(f"data.sample={size} must be at least 2 documents, or null for all of them")
    ranked = (
        (hashlib.sha256(f"{seed}:{doc.id}".encode()).digest(), row, doc) for row, doc in enumerate(documents)
    )
    return [document for _, _, document in sorted(heapq.nsmallest(size, ranked), key=lambda item: item[1])]


def index_labels(values: list[Any]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Label ids (D,) int64, -1 where missing, and the sorted names; numbers sort as numbers."""
    names = [_label_name(value) for value in values]
    present = {name for name in names if name is not None}
    if not present:
        return None, ()
    ordered = sorted(present)
    if all(NUMBER.fullmatch(name) for name in present):
        ordered.sort(key=float)
    index: dict[str | None, int] = {name: number for number, name in enumerate(ordered)}
    return np.array([index.get(name, -1) for name in names], dtype=np.int64), tuple(ordered)


def _label_name(value: Any) -> str | None:
    if _is_missing(value):
        return None
    if not isinstance(value, (str, bool, int, float, np.generic, date)):
        raise ValueError(
            f"label {value!r} is a {type(value).__name__}, but data.label_column must hold one value"
        )
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _titles(documents: list[Document]) -> tuple[str, ...] | None:
    """Titles, "" where missing; None if all are missing."""
    titles = tuple(document.title or "" for document in documents)
    return titles if any(titles) else None


def _timestamps(documents: list[Document]) -> np.ndarray | None:
    """Times (D,) datetime64[s] in UTC, NaT where missing; None if all are missing."""
    if all(_is_missing(document.timestamp) for document in documents):
        return None
    return np.array([_timestamp(document) for document in documents], dtype="datetime64[s]")


def _timestamp(document: Document) -> np.datetime64:
    value = document.timestamp
    if _is_missing(value):
        return np.datetime64("NaT")
    written = str(value).strip()
    if YEAR_OR_MONTH.fullmatch(written):
        return np.datetime64(written, "s")
    try:
        moment = datetime.fromisoformat(written.replace("Z", "+00:00"))
        return np.datetime64(
            moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment, "s"
        )
    except ValueError as error:
        raise ValueError(
            f"timestamp {document.timestamp!r} of document {document.id} is not a date; "
            "data.timestamp_column must hold ISO 8601 such as 2024-05-01 or 2024-05-01T12:00:00Z, or a year"
        ) from error


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )
