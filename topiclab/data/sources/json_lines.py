"""JSON lines as Arrow tables: a file of any size, block by block, in which no fault is fatal.

pyarrow parses one block at a time. A block that it refuses is read again line by line, and lines that are not
records are reported by number.
"""

from __future__ import annotations

import json
import zlib
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow
import zstandard
from pyarrow import json as arrow_json

from topiclab.machine import num_cores

BLOCK_BYTES = 4 << 20
READ_BYTES = 1 << 18
PIECE_BYTES = 1 << 16
MAX_THREADS = 4
MAX_LINE_LENGTH = 64 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Assumed for lines that are not UTF-8; a byte that is invalid even there becomes the replacement character.
OTHER_ENCODING = "cp1252"


Item = TypeVar("Item")
Result = TypeVar("Result")


class LineBlocks:
    """Lines of a plain, .gz or .zst file, as blocks of about 4 MiB that end with a line; read once.

    position: bytes of the file (compressed, if it is) read so far.
    fault: why reading stopped before the end of a compressed file; None while nothing is wrong.
    The same file gives the same blocks each time. Raises ValueError for a line above 64 MiB.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        self.fault: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        parts, size = [], 0
        for number, chunk in enumerate(self._chunks()):
            chunk = chunk.removeprefix(BYTE_ORDER_MARK) if number == 0 else chunk
            parts.append(chunk)
            size += len(chunk)
            if size < BLOCK_BYTES:
                continue
            block = b"".join(parts)
            end = block.rfind(b"\n") + 1
            if end:
                yield block[:end]
            elif size > MAX_LINE_LENGTH:
                raise ValueError(
                    f"{self.path}: a line is longer than {MAX_LINE_LENGTH >> 20} MiB; the file must hold one "
                    "JSON object per line"
                )
            parts, size = [block[end:]], len(block) - end
        if size:
            yield b"".join(parts)

    def _chunks(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            if self.path.suffix.lower() in (".gz", ".zst"):
                yield from self._unpacked(stream)
                return
            while chunk := stream.read(BLOCK_BYTES):
                self.position += len(chunk)
                yield chunk

    def _unpacked(self, stream: BinaryIO) -> Iterator[bytes]:
        """Unpack chunk by chunk: a file object would lose what it had unpacked before a fault."""
        is_gzip = self.path.suffix.lower() == ".gz"
        unpacker: Any = None
        while packed := stream.read(READ_BYTES):
            self.position += len(packed)
            while packed:
                if unpacker is None:
                    unpacker = (
                        zlib.decompressobj(31) if is_gzip else zstandard.ZstdDecompressor().decompressobj()
                    )
                try:
                    yield unpacker.decompress(packed)
                except (zlib.error, zstandard.ZstdError) as error:
                    self.fault = f"damaged before byte {self.position} ({error})"
                    return
                packed = unpacker.unused_data if unpacker.eof else b""
                unpacker = None if unpacker.eof else unpacker
        if unpacker is not None:
            self.fault = f"truncated after byte {self.position}"


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of work(item) in order, by one thread per core, at most 4; holds one item more than threads."""
    threads = min(num_cores(), MAX_THREADS)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class Records:
    """The records of one block.

    table: the requested columns as text, null where a record has none.
    lines: number of lines in the block, blank ones included.
    broken: (number from 1, reason) of every line that is not a record.
    num_recoded: number of lines that were not UTF-8.
    """

    table: pyarrow.Table
    lines: int
    broken: list[tuple[int, str]]
    num_recoded: int


def parse_block(block: bytes, columns: Sequence[str]) -> Records:
    """Records of a block of whole lines; other fields are skipped unread."""
    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
    num_lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if _is_utf8(block):
        try:
            table = arrow_json.read_json(
                pyarrow.BufferReader(block),
                arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
        except pyarrow.ArrowInvalid:
            return _parse_lines(block, schema, num_lines)
        if table.num_rows == num_lines:  # otherwise lines are blank, hold two records or part of one
            return Records(table.select(columns), num_lines, [], 0)
    return _parse_lines(block, schema, num_lines)


def _is_utf8(block: bytes) -> bool:
    """True if a block is UTF-8; decoded in pieces, because strings of up to 16 MiB would fragment memory."""
    if block.isascii():
        return True
    decoder = getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(block), PIECE_BYTES):
            decoder.decode(block[start : start + PIECE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _parse_lines(block: bytes, schema: pyarrow.Schema, num_lines: int) -> Records:
    rows, broken, num_recoded = [], [], 0
    for number, line in enumerate(block.split(b"\n"), 1):
        if not line.strip():
            continue
        is_utf8 = _is_utf8(line)
        num_recoded += not is_utf8
        try:
            rows.append(_record(line.decode() if is_utf8 else line.decode(OTHER_ENCODING, "replace"), schema))
        except json.JSONDecodeError as error:
            broken.append((number, f"{error.msg}, character {error.pos + 1}"))
        except RecursionError:
            broken.append((number, "nested too deeply"))
        except ValueError as error:
            broken.append((number, str(error)))
    return Records(pyarrow.Table.from_pylist(rows, schema), num_lines, broken, num_recoded)


def _record(line: str, schema: pyarrow.Schema) -> dict[str, str | None]:
    """The wanted fields; ValueError for a line that is not an object, or a field that is not text."""
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError(f"{type(record).__name__} instead of an object with named fields")
    wanted = {name: record.get(name) for name in schema.names}
    for name, value in wanted.items():
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name} is a {type(value).__name__}, not a text")
        if value is not None and any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"{name} holds half a surrogate pair")
    return wanted
