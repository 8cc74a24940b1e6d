"""Sources of the named corpora, and load_corpus, their one entry point."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from topiclab.cache import Cache
from topiclab.data.corpus import Corpus
from topiclab.data.documents import Document, build_corpus, usable_documents, usable_texts
from topiclab.data.dropped import Dropped
from topiclab.data.sources.file import read_documents
from topiclab.data.sources.neurips import FILES as NEURIPS
from topiclab.data.sources.neurips import neurips_documents
from topiclab.data.sources.newsgroups import newsgroups
from topiclab.data.sources.published import FILES, ORIGINS, prose_documents, published_documents
from topiclab.data.sources.synthetic import planted_documents
from topiclab.reads import note_reads
from topiclab.settings import Selection, Split, Vocabulary, data_folder

ARXIV = ("arxiv-metadata.jsonl.zst", "arxiv-metadata-oai-snapshot.json")


def load_corpus(
    data: Mapping[str, Any], folder: str | Path | None = None, cache: str | Path | None = None
) -> Corpus:
    """The corpus that the configuration group `data` describes.

    folder: holds the corpus files (paths.data); None is the folder that data_folder finds.
    cache: keeps the shards of data=arxiv (paths.cache); None keeps none.
    Memory keeps the corpus under the content of `data` and the size and time of its file, so that the cells
    of a grid in one process load it once. Raises FileNotFoundError or ValueError with the way out, see the
    readers.
    """
    path = _located(data, folder)
    files = sorted(path.rglob("*")) if path and data.get("path") and path.is_dir() else [path] if path else []
    stamp = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file())
    return _load(json.dumps(data, sort_keys=True, default=str), path, stamp, Path(cache) if cache else None)


def load_texts(
    data: Mapping[str, Any], folder: str | Path | None = None, cache: str | Path | None = None
) -> tuple[list[str], list[str]]:
    """Ids and texts of the documents that `data` describes, for a model that already has its vocabulary."""
    kept, _ = load_documents(data, folder, cache)
    return [str(document.id) for document in kept], [document.text for document in kept]


def load_documents(
    data: Mapping[str, Any], folder: str | Path | None = None, cache: str | Path | None = None
) -> tuple[list[Document], Dropped]:
    """The documents that `data` describes, and the records of the source that are not among them."""
    path = _located(data, folder)
    dropped = Dropped()
    with _opened(data, path, Path(cache) if cache else None) as (documents, _):
        kept, info = usable_documents(documents, Selection.of(data), dropped)
    if not kept:
        raise ValueError(
            f"corpus {data['name']}: {info['read']} documents read and none with text; check data.path and "
            "data.text_column"
        )
    return kept, dropped


@dataclass(frozen=True)
class TextStream:
    """Texts of `load_corpus(data, folder, cache)` in order, read anew by every iteration.

    Memory holds one text at a time if the source is a file of lines or shards, or data.sample texts if set.
    """

    data: Mapping[str, Any]
    folder: str | Path | None = None
    cache: str | Path | None = None

    def __iter__(self) -> Iterator[str]:
        path = _located(self.data, self.folder)
        with _opened(self.data, path, Path(self.cache) if self.cache else None) as (documents, _):
            yield from usable_texts(documents, Selection.of(self.data))


@lru_cache(maxsize=4)
def _load(
    data_json: str, path: Path | None, stamp: tuple[tuple[int, int], ...], cache: Path | None
) -> Corpus:
    data = json.loads(data_json)
    with _opened(data, path, cache) as (documents, facts):
        words, split = Vocabulary.of(data["vocabulary"]), Split.of(data["split"])
        corpus = build_corpus(documents, Selection.of(data), words, split)
    return replace(corpus, info={**corpus.info, **facts}) if facts else corpus


@contextmanager
def _opened(
    data: Mapping[str, Any], path: Path | None, cache: Path | None
) -> Iterator[tuple[Iterator[Document], dict[str, Any]]]:
    """Documents of a source, and facts about how they were prepared."""
    if data["source"] == "text" and not data["path"]:
        with ExitStack() as stack:
            yield _of_corpora(data["corpora"], path or data_folder(), cache, stack), {}
        return
    if data["source"] != "arxiv":
        yield _documents(data, path), {}
        return
    from topiclab.data.sources.arxiv import Choice, arxiv_documents, arxiv_shards

    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"data=arxiv: no file {path}; put {' or '.join(ARXIV)} into that folder or the one "
            "$TOPICLAB_DATA names, or give data.path=<file>: "
            "https://www.kaggle.com/datasets/Cornell-University/arxiv"
        )
    with ExitStack() as stack:
        root = cache or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        entry = arxiv_shards(path, Choice.of(data), Cache(root))
        facts = {name: entry.manifest[name] for name in ("counts", "broken_lines", "fault")}
        yield arxiv_documents(entry, data["label"]), {"snapshot": facts}


def _of_corpora(
    names: Sequence[str], folder: Path, cache: Path | None, stack: ExitStack
) -> Iterator[Document]:
    """Documents of several corpora, one after another; stack: holds what stays open meanwhile."""
    from topiclab.data.sources.folder import corpus_group, named_after

    if not names:
        raise ValueError("data=text needs data.path=<folder> or data.corpora=[...]; both are empty")
    groups = [corpus_group(name) for name in dict.fromkeys(names)]
    for group in groups:
        path = _locate(group["source"], group.get("path"), folder)
        documents, _ = stack.enter_context(_opened(group, path, cache))
        yield from named_after(group["name"], documents)


def corpus_from_texts(
    texts: Sequence[str],
    *,
    name: str = "texts",
    labels: Sequence[Any] | None = None,
    ids: Sequence[str] | None = None,
    timestamps: Sequence[Any] | None = None,
    covariates: Mapping[str, Sequence[Any]] | None = None,
    vocabulary: Vocabulary,
    split: Split,
    deduplicate: bool = False,
    sample: int | None = None,
    sample_seed: int = 0,
    clean: tuple[str, ...] | None = None,
    missing: tuple[str, ...] | None = (),
    timestamp_format: str | None = None,
    covariate_columns: tuple[str, ...] | None = None,
) -> Corpus:
    """A corpus from strings in memory; labels, ids, timestamps and each covariate are as long as texts.

    covariate_columns: those of `covariates` that are read, in this order; None: all of them.
    The other arguments are the keys of the group `data`. Blank texts are dropped with their labels.
    """
    texts = list_of_texts(texts)
    # lists, because a pandas Series would look up its index
    labels, ids, timestamps = (None if each is None else list(each) for each in (labels, ids, timestamps))
    facts = {column: list(values) for column, values in (covariates or {}).items()}
    given = {"labels": labels, "ids": ids, "timestamps": timestamps}
    for label, values in [*given.items(), *facts.items()]:
        if values is not None and len(values) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(values)} {label}; give one for every text")
    names = tuple(facts) if covariate_columns is None else covariate_columns
    if absent := [column for column in names if column not in facts]:
        raise ValueError(f"data.covariate_columns names {absent[0]}, which `covariates` does not hold")
    documents = (
        Document(
            text,
            None if ids is None else str(ids[row]),
            None if labels is None else labels[row],
            None if timestamps is None else timestamps[row],
            covariates=tuple(facts[column][row] for column in names),
        )
        for row, text in enumerate(texts)
    )
    selection = Selection(
        name, sample, sample_seed, deduplicate, clean, missing, timestamp_format, names or None
    )
    return build_corpus(documents, selection, vocabulary, split)


def list_of_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list; TypeError for anything but a sequence of strings, with the place of the first."""
    if hasattr(texts, "columns"):
        raise TypeError('texts is a table; give one of its columns, such as df["text"]')
    if isinstance(texts, (str, bytes, Mapping, Set)) or not isinstance(texts, Iterable):
        raise TypeError(f"texts is a {type(texts).__name__}, not a sequence of strings; use [text] for one")
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            shown = repr(text)[:40]
            raise TypeError(
                f"text {place} (from 0) is {shown}, a {type(text).__name__}; texts must be a sequence of "
                'strings: replace missing texts by "", for instance df["text"].fillna("")'
            )
    return found


def lee_path() -> Path:
    """gensim.test.utils.datapath("lee_background.cor"), without the second that importing gensim takes."""
    gensim = find_spec("gensim")
    if gensim is None or gensim.origin is None:
        raise ImportError("data=lee is part of the package gensim: pip install gensim")
    return Path(gensim.origin).parent / "test" / "test_data" / "lee_background.cor"


def _located(data: Mapping[str, Any], folder: str | Path | None) -> Path | None:
    """`_locate` for the group `data`; the run that reads the files is told of them."""
    place = Path(folder) if folder else data_folder()
    path = _locate(data["source"], data.get("path"), place)
    if data.get("path") and path is not None:
        note_reads([path])
    elif data["source"] == "text":
        from topiclab.data.sources.folder import corpus_group

        for name in dict.fromkeys(data["corpora"]):
            _located(corpus_group(name), place)
    elif data["source"] == "lee":
        note_reads([lee_path()])
    elif path is not None:
        note_reads([path], below=place)
    return path


def _locate(source: str, given: str | None, folder: Path) -> Path | None:
    """File or folder that a source reads; None for sources without one."""
    if given:
        path = Path(given).expanduser()
        if not (path.exists() if source in ("text", "file") else path.is_file()):
            raise FileNotFoundError(f"data.path={path}: no such file")
        return path
    if source == "text":
        return folder
    if source == "arxiv":
        return next((folder / name for name in ARXIV if (folder / name).is_file()), folder / ARXIV[0])
    if source == "neurips":
        return next((folder / name for name in NEURIPS if (folder / name).is_file()), folder / NEURIPS[0])
    return folder / FILES[source] if source in FILES else None


def _documents(data: Mapping[str, Any], path: Path | None) -> Iterator[Document]:
    """The raw documents of one source, as a stream."""
    source = data["source"]
    if source == "lee":
        return read_documents(lee_path(), "text")
    if source == "synthetic":
        return planted_documents(**data["planted"])
    if source == "text" and path is not None:
        from topiclab.data.sources.folder import folder_documents

        return folder_documents(path, data["text_column"], data["encoding"])
    if source == "prose":
        return prose_documents(path)
    if source == "neurips":
        return neurips_documents(path, data["has_keywords"], data["encoding"])
    if source == "20newsgroups":
        return newsgroups(path, data["subset"], data["remove"])
    if source in ORIGINS:
        return published_documents(source, path, data["encoding"])
    if source == "file":
        if path is None:
            raise ValueError("data=file needs data.path=<file>, and data.text_column where it is not `text`")
        columns = {key: data[key] for key in ("text_column", "label_column", "id_column", "timestamp_column")}
        for key in ("title_column", "delimiter"):  # missing in runs of earlier versions
            columns[key] = data.get(key)
        covariates = data.get("covariate_columns") or ()
        return read_documents(path, **columns, encoding=data["encoding"], covariate_columns=covariates)
    if data.get("modality") == "images":
        raise ValueError(
            f"data={data['name']} holds images, but texts are read here; use data=lee or data=file"
        )
    raise ValueError(
        f"data.source={source} is unknown; use lee, synthetic, 20newsgroups, {', '.join(ORIGINS)}, "
        "prose, text, arxiv, neurips or file"
    )
