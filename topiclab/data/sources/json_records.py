"""Records of JSON: one object a line, or a whole file of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from topiclab.data.sources.columns import check_columns
from topiclab.data.sources.text_lines import decoded, open_bytes, text_lines, unpacked

MAX_FILE_BYTES = 1 << 30  # of a .json, which is read as a whole


Numbered = Iterator[tuple[int, dict[str, Any]]]


def read_json_lines(path: Path, columns: Sequence[str], encoding: str) -> Numbered:
    """Number and object of each line that is not blank.

    The first of the columns must be in the first record, the others in any: labels may be given for some.
    """
    seen: dict[str, None] = {}
    for number, line in enumerate(text_lines(path, encoding), 1):
        if line.isspace():
            continue
        record = _parsed(line, f"{path}, line {number}")
        if not isinstance(record, dict):
            raise ValueError(
                f"{path}, line {number}: {type(record).__name__} instead of an object with named fields"
            )
        if not seen:
            check_columns(path, record, columns[:1])
        seen.update(dict.fromkeys(record))
        yield number, record
    check_columns(path, seen, columns)


def read_json(path: Path, columns: Sequence[str], encoding: str) -> Numbered:
    """Number and object of each record of a .json file, from 1.

    The file holds a list of objects, an object of one such list ({"data": [...]}), columns of equal keys as
    pandas writes them, or one object a line.
    """
    with unpacked(path), open_bytes(path) as stream:
        content = stream.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(
            f"{path}: more than {MAX_FILE_BYTES >> 30} GiB, which .json needs in memory as a whole; write "
            "one object a line to a .jsonl"
        )
    text = decoded(content, encoding, path)
    if _is_line_wise(text):
        yield from read_json_lines(path, columns, encoding)
        return
    records = _records_of(_parsed(text, str(path)), path)
    check_columns(path, dict.fromkeys(name for record in records for name in record), columns)
    yield from enumerate(records, 1)


def _is_line_wise(text: str) -> bool:
    """True if the first line is an object and others follow it."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{") or not rest.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _records_of(content: Any, path: Path) -> list[dict[str, Any]]:
    if isinstance(content, dict):
        lists = [name for name, value in content.items() if _are_objects(value)]
        if len(lists) == 1:
            content = content[lists[0]]
        elif content and all(isinstance(column, dict) for column in content.values()):
            rows = {key: None for column in content.values() for key in column}
            return [{name: column.get(key) for name, column in content.items()} for key in rows]
    if not _are_objects(content):
        raise ValueError(
            f"{path}: a .json must hold a list of objects with named fields, such as "
            '[{"text": "..."}, ...], or {"data": [...]}; a .jsonl holds one object a line'
        )
    return cast("list[dict[str, Any]]", content)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _parsed(text: str, place: str) -> Any:
    """The value of a JSON text; ValueError names its place, and the line and character within."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise ValueError(
            f"{place}: malformed JSON ({error.msg}, {line}character {error.colno}); repair it"
        ) from error
    except RecursionError as error:
        raise ValueError(f"{place}: JSON nested too deeply to be read; flatten or remove it") from error
    except ValueError as error:  # a number of thousands of digits
        raise ValueError(f"{place}: {str(error).partition(';')[0]}; repair or remove it") from error
