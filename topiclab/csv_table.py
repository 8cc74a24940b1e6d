"""CSV files for people: written column by column, and harmless when a spreadsheet opens them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from topiclab.atomic import atomic_file

pc: Any = pyarrow.compute  # its functions are made at import, where no type checker sees them

# A spreadsheet calculates a cell that begins like this, whoever wrote it (OWASP, CSV Injection).
FORMULA = "^[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]"
NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
NEEDS_QUOTES = r'[",;\t\r\n]'
BLOCK_ROWS = 100_000
TEXT = pa.large_string()

Columns = Mapping[str, Sequence[Any] | np.ndarray | pa.Array | pa.ChunkedArray]


def write_csv(path: Path, columns: pa.Table | Columns) -> None:
    """Write columns of equal length, with a header, in UTF-8, by atomic rename.

    A text that begins with = + - @, a tab or a line end gets the prefix ', so that no spreadsheet takes it
    for a formula; plain numbers such as -1 stay as they are. Numbers with a fraction get four decimals, a
    missing value is an empty cell.
    """
    table: Any = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    with atomic_file(path) as stream:
        stream.write((",".join(_text_cells(pa.array(table.column_names, TEXT)).to_pylist()) + "\n").encode())
        for start in range(0, table.num_rows, BLOCK_ROWS):
            block = table.slice(start, BLOCK_ROWS)
            lines = _joined(*map(_cells, block.itercolumns()), between=",")
            offsets = pa.array([0, len(lines)], pa.int64())
            joined = pc.binary_join(pa.LargeListArray.from_arrays(offsets, lines), _text("\n"))
            stream.write(joined[0].as_buffer())
            stream.write(b"\n")


def _cells(column: pa.ChunkedArray) -> pa.Array:
    """Cells of one column, (N,) large_string, as they stand in the file."""
    values: Any = column.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        numbers = np.char.mod("%.4f", values.to_numpy(zero_copy_only=False))
        return pc.if_else(pc.is_finite(values).fill_null(False), pa.array(numbers, TEXT), _text(""))
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    cells = values.cast(TEXT).fill_null("")
    return _text_cells(cells) if is_text else cells


def _text_cells(texts: pa.Array) -> pa.Array:
    is_formula = pc.and_not(pc.match_substring_regex(texts, FORMULA), pc.match_substring_regex(texts, NUMBER))
    if pc.any(is_formula).as_py():
        texts = pc.if_else(is_formula, _joined(_text("'"), texts), texts)
    needs_quotes = pc.match_substring_regex(texts, NEEDS_QUOTES)
    if pc.any(needs_quotes).as_py():
        doubled = pc.replace_substring(texts, '"', '""')
        texts = pc.if_else(needs_quotes, _joined(_text('"'), doubled, _text('"')), texts)
    return texts


def _joined(*parts: Any, between: str = "") -> pa.Array:
    return pc.binary_join_element_wise(*parts, _text(between))


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, TEXT)
