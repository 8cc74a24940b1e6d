"""Window counts of an external reference, such as Wikipedia, from its texts or from a file of counts.

Every run of letters, digits and underscores occupies a position in the windows, including stop words and
short words, as in Röder, Both & Hinneburg 2015; for the coherence on the corpus itself stop words are removed
first, as with gensim.
"""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.lib.npyio import NpzFile

from topiclab.atomic import atomic_file
from topiclab.cache import cached_arrays, key_hash
from topiclab.data.sources.file import read_documents
from topiclab.data.words.letters import PLACE
from topiclab.data.words.tokenizer import VERSION, tokenize
from topiclab.data.words.vocabulary import columns
from topiclab.metrics.coherence import WINDOWS
from topiclab.metrics.cooccurrence import EXACT, MAX_DENSE_WORDS, Cooccurrence, grouped
from topiclab.settings import Vocabulary

log = logging.getLogger(__name__)

BLOCK_LETTERS = 1 << 24  # characters tokenised and counted at a time: some 200 MB
REFERENCE_WINDOWS = tuple(window for window in WINDOWS.values() if window is not None)
# files in a folder with one document per line
LINES = (
    ".jsonl",
    ".ndjson",
    ".jsonl.gz",
    ".jsonl.zst",
    ".txt.gz",
    ".txt.zst",
)
Counts = Mapping[int, Cooccurrence]


class ReferenceOptions(TypedDict):
    """The group `reference`; words: read by task=count alone."""

    path: str | None
    text_column: str
    words: str | None


def reference_counts(
    reference: ReferenceOptions,
    vocab: Sequence[str],
    vocabulary: Vocabulary,
    cache_root: Path | None,
) -> dict[int, Cooccurrence]:
    """Exact counts of the group `reference`, by window; {} if its path is null.

    path: a file of counts (.npz, see save_counts) with its own vocabulary; or texts, counted for vocab once
    per cache_root: a file with one document per line (.txt, .jsonl, ..., also .gz and .zst), or a folder, in
    which every .txt is one document and every .jsonl or compressed file has one document per line.
    vocabulary: the group `data.vocabulary`, of which lowercase, tokenizer and token_pattern apply.
    Raises FileNotFoundError or ValueError for paths that cannot be read, and for too many words.
    """
    if reference["path"] is None:
        return {}
    path = Path(reference["path"]).expanduser()
    if path.suffix == ".npz":
        return _load_counts(path, path.stat().st_mtime_ns)
    files = text_files(path)
    if len(vocab) > MAX_DENSE_WORDS:
        raise ValueError(
            f"counts of {len(vocab)} words are too large (limit {MAX_DENSE_WORDS}); lower "
            "data.vocabulary.size, or count a list of words with task=count and give reference.path its file"
        )
    stats = [(str(file.relative_to(path)), file.stat()) for file in files]
    key = {
        "reference": key_hash({"files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]}),
        "text_column": reference["text_column"],
        "words": key_hash({"words": list(vocab)}),
        "windows": list(REFERENCE_WINDOWS),
        "lowercase": vocabulary.lowercase,
        "tokenizer": vocabulary.tokenizer,
        "token_pattern": vocabulary.token_pattern,
        "version": VERSION,
    }
    compute = lambda: count_texts(read_texts(files, path, reference["text_column"]), vocab, vocabulary)  # noqa: E731
    tables = cached_arrays(cache_root, "cooccurrence", key, compute)
    return _by_window(tuple(vocab), tables)


def text_files(path: Path) -> list[Path]:
    """Files of a reference, sorted by name; FileNotFoundError if there are none."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.name.lower().endswith((".txt", *LINES)))
    if not files:
        raise FileNotFoundError(
            f"reference.path={path} is neither a file nor a folder with .txt or .jsonl files; give one"
        )
    return files


def read_texts(files: Iterable[Path], path: Path, text_column: str) -> Iterator[str]:
    """Stream documents; a .txt is one document if path is a folder, otherwise one per line."""
    for file in files:
        if file != path and file.suffix.lower() == ".txt":
            yield _whole(file)
        else:
            column = text_column if ".jsonl" in file.suffixes or ".ndjson" in file.suffixes else "text"
            yield from (document.text for document in read_documents(file, column))


def _whole(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 ({error}); convert it or remove it from the folder") from error


def count_texts(texts: Iterable[str], vocab: Sequence[str], vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """pair_counts (W, V, V), num_windows (W,) and window (W,) of the texts, int64; W REFERENCE_WINDOWS.

    Memory holds only the counts and BLOCK_LETTERS of text, for any number of documents.
    """
    from topiclab.metrics.window_intervals import (  # numba is slow to import
        add_pairs,
        find_intervals,
        join_halves,
    )

    pattern = PLACE if vocabulary.token_pattern is None else vocabulary.token_pattern
    plain = replace(vocabulary, stop_words="none", token_pattern=pattern)
    pair_counts = np.zeros((len(REFERENCE_WINDOWS), len(vocab), len(vocab)), dtype=np.int64)
    num_windows = np.zeros(len(REFERENCE_WINDOWS), dtype=np.int64)
    num_docs = 0
    for block in _blocks(texts):
        tokens = tokenize(block, plain)
        places = columns(tokens.words, vocab)[tokens.ids]
        for number, window in enumerate(REFERENCE_WINDOWS):
            words, firsts, lasts, count = find_intervals(places, tokens.offsets, len(vocab), window, False)
            add_pairs(words, firsts, lasts, grouped(words, len(vocab)), pair_counts[number])
            num_windows[number] += count
        num_docs += len(block)
        log.info("reference: %d documents, %d windows of %d", num_docs, num_windows[0], REFERENCE_WINDOWS[0])
    if not num_docs:
        raise ValueError("the reference has no document with text; give another reference.path")
    for table in pair_counts:
        join_halves(table)
    return {"pair_counts": pair_counts, "num_windows": num_windows, "window": np.array(REFERENCE_WINDOWS)}


def save_counts(path: Path, counts: Counts) -> None:
    """Write counts of one vocabulary atomically, as an .npz without pickled objects.

    vocab (V,), window (W,), word_counts (W, V), pair_counts (W, V, V), num_windows (W,), variant.
    """
    first = next(iter(counts.values()))
    arrays = {
        "vocab": np.array(first.vocab, dtype=np.str_),
        "window": np.array(list(counts)),
        "word_counts": np.stack([each.word_counts for each in counts.values()]),
        "pair_counts": np.stack([each.pair_counts for each in counts.values()]),
        "num_windows": np.array([each.num_windows for each in counts.values()]),
        "variant": np.array(first.variant),
    }
    with atomic_file(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def load_counts(path: Path) -> dict[int, Cooccurrence]:
    """Counts by window from a file in the format of save_counts; ValueError names the fault."""
    try:
        with path.open("rb") as stream, NpzFile(stream) as arrays:
            names = ("vocab", "window", "word_counts", "pair_counts", "num_windows", "variant")
            tables = {name: arrays[name] for name in names}
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"reference.path={path} does not hold counts ({error}); write it with task=count"
        ) from error
    num_windows, num_words = len(np.atleast_1d(tables["window"])), len(tables["vocab"])
    shapes = {name: tables[name].shape for name in ("word_counts", "pair_counts", "num_windows")}
    expected = ((num_windows, num_words), (num_windows, num_words, num_words), (num_windows,))
    if tuple(shapes.values()) != expected or str(tables["variant"]) != EXACT:
        raise ValueError(
            f"reference.path={path}: {num_windows} windows and {num_words} words do not fit "
            f"{', '.join(f'{name} {shape}' for name, shape in shapes.items())}, {tables['variant']}; "
            "expected word_counts (W, V), pair_counts (W, V, V), num_windows (W,) of variant exact"
        )
    return _by_window(tuple(tables["vocab"].tolist()), tables)


@lru_cache(maxsize=1)  # cells of a sweep in one process read the file once
def _load_counts(path: Path, _mtime_ns: int) -> dict[int, Cooccurrence]:
    return load_counts(path)


def _by_window(vocab: tuple[str, ...], tables: Mapping[str, np.ndarray]) -> dict[int, Cooccurrence]:
    pairs = zip(tables["window"].tolist(), tables["pair_counts"], tables["num_windows"].tolist(), strict=True)
    return {
        window: Cooccurrence(vocab, pair_counts.diagonal(), pair_counts, num_windows, window, EXACT)
        for window, pair_counts, num_windows in pairs
    }


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Blocks of consecutive texts of about BLOCK_LETTERS in total, without blank texts."""
    block: list[str] = []
    letters = 0
    for text in texts:
        if not text or text.isspace():
            continue
        block.append(text)
        letters += len(text)
        if letters >= BLOCK_LETTERS:
            yield block
            block, letters = [], 0
    if block:
        yield block
