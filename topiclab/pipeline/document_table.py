"""documents.csv and documents.parquet: one line for each record of the source, in its order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from topiclab.atomic import atomic_file
from topiclab.csv_table import write_csv
from topiclab.data.corpus import SPLITS, Corpus
from topiclab.data.dropped import REASONS, UNSAMPLED, Dropped
from topiclab.result import main_topics

log = logging.getLogger(__name__)

DOCUMENTS, COVARIATES = "documents.parquet", "covariates.parquet"
MAX_UNSAMPLED = 100_000  # lines of documents.csv for records outside data.sample
Texts = pa.Array | None


def corpus_table(corpus: Corpus, theta: np.ndarray, predictions: np.ndarray | None) -> pa.Table:
    """Table of all records of a corpus, see `document_table`; theta: (D, K), predictions: (D,) label ids."""
    names = pa.array(corpus.label_names, pa.string())
    return document_table(
        np.arange(corpus.num_docs) if corpus.source_rows is None else corpus.source_rows,
        corpus.ids,
        corpus.dropped,
        theta,
        corpus.known_words,
        split=_named(pa.array(SPLITS, pa.string()), corpus.split),
        label=None if corpus.labels is None else _named(names, corpus.labels),
        predicted=None if predictions is None else _named(names, predictions),
    )


def document_table(
    rows: np.ndarray,
    ids: Sequence[str],
    dropped: Dropped,
    theta: np.ndarray,
    known_words: np.ndarray,
    *,
    split: Texts = None,
    label: Texts = None,
    predicted: Texts = None,
) -> pa.Table:
    """Table of D documents and of the dropped records, in the order of the source.

    row: in the source, from 0.  topic, share: the main topic, null for a document without one.  known_words:
    tokens of the vocabulary.  dropped: the reason; null for a document.
    rows, known_words: (D,).  theta: (D, K).  split, label, predicted: D texts; None: all null.
    """
    main = main_topics(theta)
    is_placed = main >= 0
    unknown = pa.nulls(len(rows), pa.string())
    documents = pa.table(
        {
            "row": pa.array(rows, pa.int64()),
            "id": pa.array(ids, pa.string()),
            "split": unknown if split is None else split,
            "topic": pa.array(main.astype(np.int32), mask=~is_placed),
            "share": pa.array(theta[np.arange(len(theta)), main].astype(np.float32), mask=~is_placed),
            "known_words": pa.array(known_words, pa.int64()),
            "label": unknown if label is None else label,
            "predicted": unknown if predicted is None else predicted,
            "dropped": unknown,
        }
    )
    if not len(dropped):
        return documents
    others = pa.table(
        {
            "row": pa.array(dropped.rows),
            "id": pa.array([dropped.ids.get(row) for row in dropped.rows.tolist()], pa.string()),
            "dropped": _named(pa.array(REASONS, pa.string()), dropped.reasons),
        }
    )
    table = pa.concat_tables([documents, others], promote_options="default")
    return table.take(pa.array(np.argsort(table["row"].to_numpy(), kind="stable")))


def write_documents(table: pa.Table, folder: Path) -> None:
    """Write documents.csv and, with exact values, documents.parquet.

    The first leaves records outside data.sample out if they are more than MAX_UNSAMPLED.
    """
    with atomic_file(folder / DOCUMENTS) as stream:
        parquet.write_table(table, stream, compression="zstd")
    is_unsampled = table["dropped"].to_numpy() == UNSAMPLED
    if (number := int(is_unsampled.sum())) > MAX_UNSAMPLED:
        log.info("%d records outside data.sample are in %s only, not in documents.csv", number, DOCUMENTS)
        table = table.filter(pa.array(~is_unsampled))
    write_csv(folder / "documents.csv", table)


def write_covariates(corpus: Corpus, folder: Path) -> None:
    """Write covariates.parquet: id of every document and its covariates; nothing for a corpus without."""
    if corpus.covariates is None:
        return
    columns = {"id": pa.array(corpus.ids, pa.string()), **corpus.covariates.table()}
    with atomic_file(folder / COVARIATES) as stream:
        parquet.write_table(pa.table(columns), stream, compression="zstd")


def read_documents(folder: Path) -> pa.Table:
    """Table that `write_documents` wrote into a run folder; ValueError if it cannot be read."""
    path = folder / DOCUMENTS
    if not path.is_file():
        raise ValueError(
            f"{folder} has no {DOCUMENTS}, which tells the row of each document; an earlier version fitted "
            "it, so fit it again"
        )
    try:
        return parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove {folder} and fit again") from error


def _named(names: pa.Array, indices: np.ndarray) -> pa.Array:
    """Names at these indices, null where one is below 0."""
    return names.take(pa.array(indices, mask=indices < 0))
