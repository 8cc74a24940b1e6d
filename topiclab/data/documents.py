"""Documents: from a stream of raw records to a frozen Corpus, one policy for every source."""

from __future__ import annotations

import hashlib
import heapq
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from topiclab.data.cleaning import clean_text, report_unclean
from topiclab.data.corpus import SPLITS, Corpus
from topiclab.data.covariates import Covariates, read_covariates
from topiclab.data.dates import Dates, Told, read_dates
from topiclab.data.dropped import BLANK, DUPLICATE, Dropped
from topiclab.data.missing import doubtful, is_missing, missing_values
from topiclab.data.words.vocabulary import columns, count_tokens, fit_vocabulary
from topiclab.settings import Selection, Split, Vocabulary

log = logging.getLogger(__name__)

WARN_DUPLICATE_SHARE = 0.01
NUMBER = re.compile(r"-?\d+(\.\d+)?")
SHORT_OF_USUAL = ("nan", "None", "null", "NaT")  # in a message
TEXT_PARTS = ("text", "id", "label", "timestamp", "title", "covariates")


class Document(NamedTuple):
    """One record of a source; a missing label or id is None.

    row: number of the record in the source, from 0, blank and repeated ones counted; None until
    `usable_documents` numbers them.
    origin, number: where the record stands, for messages, such as ("posts.csv, line", 12).
    covariates: the values of data.covariate_columns; () without any.
    """

    text: str
    id: str | None = None
    label: Any = None
    timestamp: Any = None
    title: str | None = None
    row: int | None = None
    origin: str | None = None
    number: int | None = None
    covariates: tuple[Any, ...] = ()

    @property
    def place(self) -> str:
        """Place of the record: its line or row in its file, or its number, from 1, in the source."""
        if self.origin is not None:
            return self.origin if self.number is None else f"{self.origin} {self.number}"
        return "a document" if self.row is None else f"document {self.row + 1}"


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
    report_unclean(texts, selection.name, selection.clean or ())
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
    missing = missing_values(selection.missing)
    labels, label_names = index_labels([document.label for document in kept], missing)
    dates = dates_of(kept, selection)
    info["without_known_words"] = int((np.diff(bow.indptr) == 0).sum())
    if labels is not None:
        info["unlabelled"] = _report_labels(labels, label_names, selection)
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
        timestamps=None if dates is None or np.isnat(dates.times).all() else dates.times,
        titles=_titles(kept, missing),
        covariates=covariates_of(kept, selection),
        info=info if dates is None else {**info, **dates.facts()},
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


def covariates_of(
    documents: Sequence[Document], selection: Selection, like: Covariates | None = None
) -> Covariates | None:
    """Covariates of documents that all have those of `selection`, see `read_covariates`; None without any."""
    names = selection.covariate_columns or ()
    if not names and like is None:
        return None
    told = {name: [document.covariates[at] for document in documents] for at, name in enumerate(names)}
    missing = missing_values(selection.missing)
    return read_covariates(told, [document.place for document in documents], missing, like)


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
    admitted = _admit(documents, selection, info, dropped)
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
    documents: Iterable[Document], selection: Selection, info: dict[str, int], dropped: Dropped | None
) -> Iterator[Document]:
    """Yield the documents with text, cleaned, each with an id and its row, and count them in info.

    The id of a document without one is its text key; later copies get key-2, key-3 and so on.
    """
    copies: dict[str, int] = {}
    ids: dict[str, int] = {}
    missing = missing_values(selection.missing)
    for row, document in enumerate(documents):
        info["read"] += 1
        if selection.clean:
            document = _cleaned(document, selection.clean)
        if not document.text or document.text.isspace():
            info["blank"] += 1
            if dropped is not None:
                dropped.add(row, BLANK, document.id)
            continue
        _check_characters(document, row)
        key = text_key(document.text)
        copies[key] = copies.get(key, 0) + 1
        if copies[key] > 1:
            info["duplicates"] += 1
            if selection.deduplicate:
                if dropped is not None:
                    dropped.add(row, DUPLICATE, document.id)
                continue
        if document.id is None:
            yield document._replace(id=key if copies[key] == 1 else f"{key}-{copies[key]}", row=row)
            continue
        _check_id(document._replace(row=row), ids, copies[key] > 1, missing)
        ids[document.id] = row if document.number is None else document.number
        yield document._replace(row=row)


def _cleaned(document: Document, kinds: tuple[str, ...]) -> Document:
    title = document.title and clean_text(document.title, kinds)
    return document._replace(text=clean_text(document.text or "", kinds), title=title)


def _check_id(document: Document, ids: dict[str, int], repeats_text: bool, missing: frozenset[str]) -> None:
    """Raise ValueError for an id that stands for none or was used before."""
    identity = str(document.id)
    if identity in missing:
        raise ValueError(
            f"{document.place}: the id {identity!r} means that there is none; fill it, set "
            "data.id_column=null, or take it out of data.missing"
        )
    if identity in ids:
        first = ids[identity] if document.number is not None else ids[identity] + 1
        way_out = ", or drop repeated texts with data.deduplicate=true" if repeats_text else ""
        raise ValueError(
            f"{document.place}: id {identity!r} was used before, by {first}; ids must be unique: choose "
            f"another data.id_column, or null to derive ids from the texts{way_out}"
        )


def _check_characters(document: Document, row: int) -> None:
    for part in TEXT_PARTS:
        value = getattr(document, part)
        try:
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str):
                    text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{document._replace(row=row).place}: its {part} holds half a surrogate pair at character "
                f"{error.start}, which is not valid text; repair it where the file is written"
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


def index_labels(
    values: list[Any], missing: frozenset[str] = frozenset()
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Label ids (D,) int64, -1 where missing, and the sorted names; numbers sort as numbers.

    Raises ValueError for a label that is a text in one document and a number in another.
    """
    names = [None if is_missing(value, missing) else _label_name(value) for value in values]
    texts = {name for name, value in zip(names, values, strict=True) if isinstance(value, str)}
    others = {name for name, value in zip(names, values, strict=True) if not isinstance(value, str)}
    if both := sorted(name for name in texts & others if name is not None):
        raise ValueError(
            f"label {both[0]} is a text in some documents and a number, date or true/false in others; write "
            "all values of data.label_column in one way"
        )
    present = {name for name in names if name is not None}
    if not present:
        return None, ()
    ordered = sorted(present)
    if all(NUMBER.fullmatch(name) for name in present):
        ordered.sort(key=float)
    index: dict[str | None, int] = {name: number for number, name in enumerate(ordered)}
    return np.array([index.get(name, -1) for name in names], dtype=np.int64), tuple(ordered)


def _label_name(value: Any) -> str:
    if not isinstance(value, (str, bool, int, float, np.generic, date)):
        raise ValueError(
            f"label {value!r} is a {type(value).__name__}, but data.label_column must hold one value"
        )
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _report_labels(labels: np.ndarray, names: tuple[str, ...], selection: Selection) -> int:
    """Number of documents without a label, which is logged; names that may mean that are warned of."""
    unlabelled = int((labels < 0).sum())
    if unlabelled:
        log.info("corpus %s: %d of %d documents have no label", selection.name, unlabelled, len(labels))
    if selection.missing is None and (found := doubtful(names)):
        numbers = ", ".join(
            f"{name} ({int((labels == names.index(name)).sum())} documents)" for name in found
        )
        log.warning(
            "corpus %s: classes are called %s; data.missing=[%s] makes them missing labels, "
            "data.missing=[%s] keeps them without this warning",
            selection.name,
            numbers,
            ",".join([*SHORT_OF_USUAL, *found]),
            ",".join(SHORT_OF_USUAL),
        )
    return unlabelled


def _titles(documents: list[Document], missing: frozenset[str]) -> tuple[str, ...] | None:
    """Titles, "" where missing; None if all are missing."""
    titles = tuple(
        "" if is_missing(document.title, missing) else document.title or "" for document in documents
    )
    return titles if any(titles) else None


def dates_of(documents: Sequence[Document], selection: Selection) -> Dates | None:
    """Dates of the documents; None without any."""
    if all(document.timestamp is None for document in documents):
        return None
    written = [Told(document.timestamp, document.place) for document in documents]
    missing = missing_values(selection.missing)
    return read_dates(written, selection.name, selection.timestamp_format, missing)
