"""Tables that are not text: Parquet and Excel."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from topiclab.data.sources.columns import check_columns

log = logging.getLogger(__name__)

PARQUET_BATCH = 1024
MAX_UNPACKED = 2 << 30  # bytes of the parts of an office file, which are read through their zip


def parquet_columns(path: Path) -> list[str]:
    """Columns of a Parquet file; ValueError if it is not one."""
    with _parquet(path) as file:
        return list(file.schema_arrow.names)


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of each row, from 1, and its fields of these columns."""
    import pyarrow

    number = 0
    with _parquet(path) as file:
        check_columns(path, file.schema_arrow.names, columns)
        try:
            for batch in file.iter_batches(batch_size=PARQUET_BATCH, columns=list(columns)):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
            said = str(error).splitlines()[0]
            raise ValueError(
                f"{path}: damaged after row {number} ({said}); copy or write the file again"
            ) from error


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path, page_checksum_verification=True)
    except (pyarrow.ArrowException, OSError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"{path}: not a Parquet file ({said}); check data.path") from error


def read_excel(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row of the sheet, from 1, and the fields of each record of the first sheet that has these columns.

    The first row that is not empty is the header. Raises ValueError without the extra `excel`.
    """
    book = _workbook(path)
    headers: list[list[str]] = []
    try:
        for sheet in book.worksheets:
            rows = enumerate(sheet.iter_rows(values_only=True), 1)
            header = next((_names(row) for _, row in rows if any(cell is not None for cell in row)), [])
            headers.append(header)
            if not set(columns) <= set(header):
                continue
            check_columns(path, header, columns)
            if len(book.worksheets) > 1:
                log.info("%s: sheet %s of %d is read", path, sheet.title, len(book.worksheets))
            places = [(name, header.index(name)) for name in columns or filter(None, header)]
            for number, row in rows:
                if any(cell is not None for cell in row):
                    yield number, {name: row[at] if at < len(row) else None for name, at in places}
            return
    finally:
        book.close()
    check_columns(path, next(filter(None, headers), []), columns)


def _names(row: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell) for cell in row]


def _workbook(path: Path) -> Any:
    try:
        openpyxl = import_module("openpyxl")
    except ImportError as error:
        raise ValueError(
            f"{path}: .xlsx needs the package openpyxl: pip install 'topiclab[excel]', or save it as .csv"
        ) from error
    check_zip(path)
    try:
        return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises KeyError, ParseError and others for damaged files
        raise ValueError(f"{path}: not a readable .xlsx ({error}); save it again, or as .csv") from error


def check_zip(path: Path) -> None:
    """Raise ValueError if an office file is not a zip archive, or would unpack to more than MAX_UNPACKED."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        kind = path.suffix.lower()
        raise ValueError(f"{path}: not a {kind} ({error}); save it again as {kind}") from error
    if size > MAX_UNPACKED:
        raise ValueError(f"{path}: unpacks to {size >> 20} MiB, more than {MAX_UNPACKED >> 20}; split it")
