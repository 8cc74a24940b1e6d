"""Tables of delimited text, CSV and its kin: the delimiter recognised, the records read as a stream."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from topiclab.data.sources.columns import check_columns
from topiclab.data.sources.text_lines import MAX_LINE_BYTES, text_lines, text_start

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
NAMES = {delimiter: name for name, delimiter in DELIMITERS.items()}
SNIFFED_BYTES = 1 << 17
SNIFFED_RECORDS = 50


def read_delimited(
    path: Path, columns: Sequence[str], encoding: str, delimiter: str | None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Number of the first line of each record, and its fields of these columns; () are all.

    delimiter: a name of DELIMITERS or one character; None recognises it (`recognised`).
    Raises ValueError for a column that is missing or occurs twice, and for malformed records.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    sign = DELIMITERS.get(delimiter, delimiter) if delimiter else recognised(path, columns, encoding)
    # Published tab-separated tweets and titles hold stray quotes, which their own reader (pandas) forgives.
    reader = csv.reader(text_lines(path, encoding), delimiter=sign, strict=sign != "\t")
    try:
        header = next(reader, [])
        check_columns(path, header, columns, " or another data.delimiter")
        width, start = len(header), reader.line_num + 1
        places = [(name, header.index(name)) for name in columns or header]
        for row in reader:
            if len(row) == width:
                yield start, {name: row[place] for name, place in places}
            elif row:
                raise ValueError(
                    f"{path}, line {start}: the record does not have the header's {width} fields, but "
                    f"{len(row)}; quote texts that hold {sign!r} or newlines, or give another data.delimiter"
                )
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: malformed CSV ({error}); repair the line"
        ) from error


def recognised(path: Path, columns: Sequence[str], encoding: str) -> str:
    """The delimiter of a table, by its header and first records; quoted ones do not count.

    It is the only one that splits the header; else the only one that gives the columns asked for; else the
    only one by which all first records have as many fields. Raises ValueError where several are left.
    """
    start = text_start(path, encoding, SNIFFED_BYTES)
    tables = {sign: _first_rows(start, sign) for sign in _order(path)}
    splitting = [sign for sign, rows in tables.items() if len(rows[0]) > 1]
    if len(splitting) < 2:
        return splitting[0] if splitting else _order(path)[0]
    tests = (
        lambda rows: set(columns) <= set(rows[0]),
        lambda rows: all(len(row) == len(rows[0]) for row in rows),
    )
    left = splitting
    for test in tests:
        passing = [sign for sign in left if test(tables[sign])]
        if len(passing) == 1:
            return passing[0]
        left = passing or left
    given = "; ".join(f"data.delimiter={NAMES[sign]} gives {', '.join(tables[sign][0])}" for sign in left)
    raise ValueError(f"{path}: the header can be read in {len(left)} ways; choose one: {given}")


def _order(path: Path) -> list[str]:
    """Delimiters, the one of the suffix first."""
    is_tsv = ".tsv" in [suffix.lower() for suffix in path.suffixes]
    return sorted(NAMES, key=lambda sign: sign != ("\t" if is_tsv else ","))


def _first_rows(start: str, delimiter: str) -> list[list[str]]:
    """Complete records at the start of a table, at least its header."""
    lines: Any = iter(start.splitlines(keepends=True))
    reader = csv.reader(lines, delimiter=delimiter)
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows = [row for row in islice(reader, SNIFFED_RECORDS + 1) if row]
    is_whole = next(lines, None) is not None
    return (rows if is_whole or len(rows) < 2 or len(start) < SNIFFED_BYTES else rows[:-1]) or [[""]]
