"""Files of documents: tables, JSON, plain lines, and folders of whole documents, read as a stream.

Text formats may also end in `.gz` or `.zst`. Memory holds one record or one batch of a Parquet file; a .json
is read as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from topiclab.data.documents import Document
from topiclab.data.sources.binary_tables import parquet_columns, read_excel, read_parquet
from topiclab.data.sources.columns import check_columns
from topiclab.data.sources.delimited import read_delimited
from topiclab.data.sources.json_records import read_json, read_json_lines
from topiclab.data.sources.text_lines import AUTO, PACKED, text_lines
from topiclab.data.sources.whole_files import FOLDER_COLUMNS, folder_records
from topiclab.data.sources.whole_files import FORMATS as WHOLE

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx")
LINES = (".txt", ".cor")  # one document a line
FORMATS = (*TABLES, *LINES)
BINARY = (".parquet", ".xlsx")
# What the numbers of `numbered_records` count.
COUNTED = {".parquet": "row", ".xlsx": "row", ".json": "record"}

Records = Iterator[tuple[int, Mapping[str, Any]]]


def read_documents(
    path: Path,
    text_column: str,
    label_column: str | None = None,
    id_column: str | None = None,
    timestamp_column: str | None = None,
    title_column: str | None = None,
    encoding: str = AUTO,
    delimiter: str | None = None,
    covariate_columns: Sequence[str] = (),
) -> Iterator[Document]:
    """Documents of one file in file order; a missing text becomes "", to be dropped and counted as blank.

    path may be a folder, of which each file is a document (`folder_records`) with its path as id.
    Raises FileNotFoundError; ValueError for an unknown suffix, an empty file, a missing or repeated column,
    bytes that are not `encoding`, a malformed line, an empty id, a text that is a list or a mapping.
    """
    if path.is_dir() and id_column is None:
        id_column = "path"
    columns = (text_column, label_column, id_column, timestamp_column, title_column, *covariate_columns)
    wanted = list(dict.fromkeys(name for name in columns if name is not None))
    kind = "" if path.is_dir() else kind_of(path)
    origin = str(path) if path.is_dir() else f"{path}, {COUNTED.get(kind, 'line')}"
    for number, record in numbered_records(path, wanted, encoding, delimiter):
        text = record.get(text_column)
        identity = record.get(id_column) if id_column else None
        if id_column and (identity is None or identity == ""):
            raise ValueError(f"{origin} {number}: {id_column} is empty; fill it or set data.id_column=null")
        title = record.get(title_column) if title_column else None
        yield Document(
            text if type(text) is str else _text(text, f"{origin} {number}", text_column),
            None if identity is None else str(identity),
            record.get(label_column) if label_column else None,
            record.get(timestamp_column) if timestamp_column else None,
            _text(title, f"{origin} {number}", title_column) if title_column else None,
            None,
            origin,
            number,
            tuple(record.get(name) for name in covariate_columns),
        )


def read_records(path: Path, columns: Sequence[str], encoding: str = AUTO) -> Iterator[Mapping[str, Any]]:
    """Records of one file as mappings that hold at least the named columns, where the record has them."""
    return (record for _, record in numbered_records(path, columns, encoding))


def numbered_records(
    path: Path, columns: Sequence[str], encoding: str = AUTO, delimiter: str | None = None
) -> Records:
    """Records of one file or folder, each with its number: of its line, its row or, in .json, of itself."""
    if path.is_dir():
        check_columns(path, FOLDER_COLUMNS, columns)
        return folder_records(path, encoding)
    kind = kind_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check data.path")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty; check data.path")
    if kind == ".parquet":
        return read_parquet(path, columns)
    if kind == ".xlsx":
        return read_excel(path, columns)
    if kind == ".json":
        return read_json(path, columns, encoding)
    if kind in (".jsonl", ".ndjson"):
        return read_json_lines(path, columns, encoding)
    if kind in LINES:
        check_columns(path, ["text"], columns)
        return ((number, {"text": line.rstrip("\r\n")}) for number, line in _numbered(path, encoding))
    return read_delimited(path, columns, encoding, delimiter)


def kind_of(path: Path) -> str:
    """The suffix that names the format, without that of packing; ValueError if there is no such format."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in PACKED else "".join(suffixes[-1:])
    if kind in FORMATS and (kind not in BINARY or suffixes[-1] == kind):
        return kind
    if kind in WHOLE:
        raise ValueError(
            f"{path}: a {kind} is one document, but a corpus has many; give the folder that holds such files"
        )
    if kind == ".xls":
        raise ValueError(f"{path}: .xls is an old format of Excel; save it as .xlsx or .csv")
    raise ValueError(
        f"{path}: the suffix {path.suffix or '(none)'} is not known; use {' '.join(FORMATS)}, "
        f"the text formats also followed by .gz or .zst, or a folder of {' '.join(WHOLE)}"
    )


def column_names(path: Path, encoding: str = AUTO) -> list[str]:
    """The columns of a .parquet, .csv or .tsv, or the fields of the first record of another file."""
    if path.suffix.lower() == ".parquet":
        return parquet_columns(path)
    return list(next(iter(read_records(path, [], encoding)), {}))


def _numbered(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    return enumerate(text_lines(path, encoding), 1)


def _text(value: Any, place: str, column: str) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (list, dict, bytes)):
        raise ValueError(
            f"{place}: {column} is a {type(value).__name__}, not a text; "
            "choose another data.text_column or data.title_column"
        )
    return str(value)
