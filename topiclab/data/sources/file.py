"""Files of documents: CSV, TSV, JSONL, Parquet and plain lines, read as a stream.

Text formats may also end in `.gz` or `.zst`. Memory holds one record, or one batch of a Parquet file.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from topiclab.data.documents import Document

# csv refuses fields above 128 KiB by default; this is the most that a C long holds on every platform.
MAX_FIELD_LENGTH = 2**31 - 1
PARQUET_BATCH = 1024
FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt", ".cor")
PACKED = (".gz", ".zst")


def read_documents(
    path: Path,
    text_column: str,
    label_column: str | None = None,
    id_column: str | None = None,
    timestamp_column: str | None = None,
    title_column: str | None = None,
    encoding: str = "utf-8",
) -> Iterator[Document]:
    """Documents of one file in file order; a missing text becomes "", to be dropped and counted as blank.

    Raises FileNotFoundError; ValueError for an unknown suffix, an empty file, a missing column, bytes that
    are not `encoding`, a malformed line, an empty id, a text that is a list or a mapping.
    """
    columns = (text_column, label_column, id_column, timestamp_column, title_column)
    wanted = [name for name in columns if name is not None]
    records = read_records(path, wanted, encoding)
    for number, record in enumerate(records, 1):
        identity = record.get(id_column) if id_column else None
        if id_column and (identity is None or identity == ""):
            raise ValueError(
                f"{path}, record {number}: {id_column} is empty; fill it or set data.id_column=null"
            )
        yield Document(
            text=_text(record.get(text_column), path, number, text_column),
            id=None if identity is None else str(identity),
            label=record.get(label_column) if label_column else None,
            timestamp=record.get(timestamp_column) if timestamp_column else None,
            title=_text(record.get(title_column), path, number, title_column) if title_column else None,
        )


def read_records(path: Path, columns: list[str], encoding: str = "utf-8") -> Iterator[Mapping[str, Any]]:
    """Records of one file as mappings that hold at least the named columns, where the record has them."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in PACKED else "".join(suffixes[-1:])
    if kind not in FORMATS or (kind == ".parquet" and suffixes[-1] != kind):
        raise ValueError(
            f"{path}: the suffix {path.suffix or '(none)'} is not known; use {' '.join(FORMATS)}, "
            "the text formats also followed by .gz or .zst"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check data.path")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty; check data.path")
    if kind == ".parquet":
        return _read_parquet(path, columns)
    if kind in (".jsonl", ".ndjson"):
        return _read_jsonl(path, columns, encoding)
    if kind in (".txt", ".cor"):
        _check_columns(path, ["text"], columns)
        return ({"text": line.rstrip("\r\n")} for line in _lines(path, encoding))
    return _read_csv(path, columns, encoding, "\t" if kind == ".tsv" else ",")


def column_names(path: Path, encoding: str = "utf-8") -> list[str]:
    """The columns of a .parquet, .csv or .tsv, or the fields of the first record of another file."""
    if path.suffix.lower() == ".parquet":
        from pyarrow import parquet

        return list(parquet.read_schema(path).names)
    return list(next(iter(read_records(path, [], encoding)), {}))


def _read_csv(path: Path, columns: list[str], encoding: str, delimiter: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(MAX_FIELD_LENGTH)
    # Published tab-separated tweets and titles hold stray quotes, which their own reader (pandas) forgives.
    reader = csv.DictReader(_lines(path, encoding), delimiter=delimiter, strict=delimiter == ",")
    try:
        _check_columns(path, reader.fieldnames or [], columns)
        for record in reader:
            if None in record or None in record.values():
                raise ValueError(
                    f"{path}, line {reader.line_num}: the record does not have the header's "
                    f"{len(reader.fieldnames or [])} fields; quote texts that hold {delimiter!r} or newlines"
                )
            yield record
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: malformed CSV ({error}); repair the line"
        ) from error


def _read_jsonl(path: Path, columns: list[str], encoding: str) -> Iterator[dict[str, Any]]:
    seen: dict[str, None] = {}
    for number, line in enumerate(_lines(path, encoding), 1):
        if line.isspace():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: malformed JSON ({error.msg}, character {error.pos + 1}); repair it"
            ) from error
        if not isinstance(record, dict):
            raise ValueError(
                f"{path}, line {number}: {type(record).__name__} instead of an object with named fields"
            )
        if not seen:
            _check_columns(path, record, columns[:1])
        seen.update(dict.fromkeys(record))
        yield record
    # Labels may be given for some documents only, so their column is checked after the last line.
    _check_columns(path, seen, columns)


def _read_parquet(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: not a Parquet file ({error}); check data.path") from error
    with file:
        _check_columns(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(batch_size=PARQUET_BATCH, columns=columns):
            yield from batch.to_pylist()


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """Decoded lines with their line ends; a byte-order mark is dropped."""
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        with _open(path) as stream, io.TextIOWrapper(stream, encoding=codec, newline="") as text:
            yield from text
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}{_first_bad_byte(path, encoding)}; try data.encoding=latin-1") from error
    except LookupError as error:
        raise ValueError(f"data.encoding={encoding} is not known to Python; use utf-8 or latin-1") from error
    except OSError as error:
        if path.suffix.lower() not in PACKED:
            raise
        raise ValueError(f"{path}: cannot be unpacked ({error}); copy the file again") from error


def _first_bad_byte(path: Path, encoding: str) -> str:
    """Line and byte at which decoding fails, for encodings whose line end is the byte 10."""
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                found = f"0x{line[error.start]:02x}"
                return f", line {number}, byte {error.start + 1}: {found} is not {encoding} ({error.reason})"
    return f": the file is not {encoding}"


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() not in PACKED:
        return path.open("rb")
    import pyarrow

    # Unlike zstandard's reader, pyarrow's notices when the end of a file is missing.
    kind = {".gz": "gzip", ".zst": "zstd"}[path.suffix.lower()]
    return io.BufferedReader(cast("io.RawIOBase", pyarrow.input_stream(str(path), compression=kind)))


def _check_columns(path: Path, present: Iterable[str], wanted: list[str]) -> None:
    names = list(present)
    if not names:
        raise ValueError(f"{path}: there is no record in the file; check data.path")
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{path}: no column {name}, the columns are {', '.join(names)}{hint}")


def _text(value: Any, path: Path, number: int, column: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (list, dict, bytes)):
        raise ValueError(
            f"{path}, record {number}: {column} is a {type(value).__name__}, not a text; "
            "choose another data.text_column or data.title_column"
        )
    return str(value)
