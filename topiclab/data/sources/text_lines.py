"""Lines of text files, packed or not, in an encoding that is found, checked, and explained where wrong."""

from __future__ import annotations

import codecs
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from topiclab.data.sources.encodings import CODECS, CONTROL, WEIGHTS, rank, score, shown

log = logging.getLogger(__name__)

AUTO = "auto"  # a byte-order mark, else UTF-8
PACKED = {".gz": "gzip", ".zst": "zstd"}
MAX_LINE_BYTES = 256 << 20
BUFFER = 1 << 16
SAMPLE_BYTES = 1 << 16  # of wrong bytes, to rank encodings
CHECKED_CHARACTERS = 1 << 14  # of what a chosen encoding gives
# UTF-32 first: its mark begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Bounded(io.RawIOBase):
    """Bytes of a file, refused where a line exceeds MAX_LINE_BYTES: a small packed file can hold that."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self.stream, self.path, self.length, self.num_lines = stream, path, 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        chunk = self.stream.read(len(buffer))
        buffer[: len(chunk)] = chunk
        last = chunk.rfind(b"\n")
        self.length = self.length + len(chunk) if last < 0 else len(chunk) - last - 1
        if self.length > MAX_LINE_BYTES:
            raise ValueError(
                f"{self.path}: a line is longer than {MAX_LINE_BYTES >> 20} MiB, which no document is; "
                "check that the file is a text with one record a line"
            )
        return len(chunk)

    def close(self) -> None:
        self.stream.close()
        super().close()


def open_bytes(path: Path) -> IO[bytes]:
    """The unpacked bytes of a file; a line above MAX_LINE_BYTES raises ValueError."""
    if path.suffix.lower() not in PACKED:
        return io.BufferedReader(Bounded(path.open("rb"), path), BUFFER)
    import pyarrow

    # Unlike zstandard's reader, pyarrow's notices when the end of a file is missing.
    stream = pyarrow.input_stream(str(path), compression=PACKED[path.suffix.lower()])
    return io.BufferedReader(Bounded(cast("IO[bytes]", stream), path), BUFFER)


def codec_of(start: bytes, encoding: str, name: object) -> str:
    """Python's name of the encoding of a text that starts with these bytes; a byte-order mark decides.

    name: of the text, for messages.  Raises ValueError for an encoding that Python lacks, and for UTF-16 or
    UTF-32 without a mark where the encoding is not given.
    """
    given = "utf-8" if encoding == AUTO else encoding
    try:
        chosen = codecs.lookup(given).name
    except LookupError as error:
        raise ValueError(
            f"data.encoding={encoding} is not known to Python; use auto, utf-8, cp1252 or another codec"
        ) from error
    marked = next((codec for mark, codec in MARKS if start.startswith(mark)), None)
    if marked is not None:
        if encoding != AUTO and not chosen.startswith(marked.removesuffix("-sig")):
            log.warning(
                "%s begins with the byte-order mark of %s and is read so, not as data.encoding=%s",
                name,
                marked.removesuffix("-sig"),
                encoding,
            )
        return marked
    if encoding == AUTO and (unmarked := _unmarked(start)):
        raise ValueError(
            f"{name}: every second byte or more is 0, as in {unmarked} without a byte-order mark; "
            f"use data.encoding={unmarked}"
        )
    return CODECS.get(chosen, chosen)


def _unmarked(start: bytes) -> str | None:
    """UTF-16 or UTF-32 of Western text, by the zero bytes at its start."""
    start = start[: min(len(start), 256) // 4 * 4]
    zeros = [16 * start[place::4].count(0) > 3 * len(start) for place in range(4)]  # most of each quarter
    forms: dict[tuple[bool, ...], str] = {
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
    }
    return forms.get(tuple(zeros)) if start else None


@contextmanager
def unpacked(path: Path) -> Iterator[None]:
    """Turn the errors of damaged packed files into ValueError."""
    try:
        yield
    except OSError as error:
        if path.suffix.lower() not in PACKED:
            raise
        raise ValueError(f"{path}: cannot be unpacked ({error}); copy the file again") from error


def text_lines(path: Path, encoding: str = AUTO) -> Iterator[str]:
    """Decoded lines with their line ends, without a byte-order mark.

    encoding: auto, or any of Python's. A chosen one that gives control characters, or words of no language,
    is warned of. Raises ValueError for bytes that are not of the encoding, with those that would fit.
    """
    try:
        with unpacked(path), open_bytes(path) as stream:
            start = cast(io.BufferedReader, stream).peek(256)[:256]
            codec = codec_of(start, encoding, path)
            with io.TextIOWrapper(stream, encoding=_without_mark(codec), newline="") as text:
                yield from text if codec.startswith("utf") else _checked(text, codec, encoding, path)
    except UnicodeDecodeError as error:
        raise ValueError(_explained(path, error, encoding)) from error


def text_start(path: Path, encoding: str, size: int) -> str:
    """Decode the first bytes of a file, at most `size`; an incomplete or wrong end is dropped."""
    with unpacked(path), open_bytes(path) as stream:
        content = stream.read(size)
    codec = _without_mark(codec_of(content, encoding, path))
    return codecs.getincrementaldecoder(codec)("ignore").decode(content)


def decoded(content: bytes, encoding: str, name: object) -> str:
    """Decode a whole text as `text_lines` does; name: of the text, for messages."""
    codec = codec_of(content[:256], encoding, name)
    try:
        text = content.decode(_without_mark(codec))
    except UnicodeDecodeError as error:
        raise ValueError(_explained_bytes(content.split(b"\n"), name, error, encoding)) from error
    return text if codec.startswith("utf") else "".join(_checked(iter([text]), codec, encoding, name))


def _without_mark(codec: str) -> str:
    return "utf-8-sig" if codec == "utf-8" else codec


def _checked(lines: Iterator[str], codec: str, encoding: str, name: object) -> Iterator[str]:
    """Yield the lines, and warn at the end if the chosen encoding gave text that nobody writes."""
    num_lines, example, sample, size = 0, "", [], 0
    for line in lines:
        yield line
        if line.isascii():
            continue
        if CONTROL.search(line):
            num_lines += 1
            example = example or line
        if size < CHECKED_CHARACTERS:
            sample.append(line[:CHECKED_CHARACTERS])
            size += len(line)
    text = "".join(sample)
    content = text.encode(codec, "ignore")
    better = rank(content)
    fits = "; ".join(guess.told for guess in better if guess.text != text) or "see what wrote the file"
    if num_lines:
        found = CONTROL.findall(example)
        log.warning(
            "%s: data.encoding=%s gives control characters in %d lines, such as %s in %r, so it is another "
            "encoding: %s",
            name,
            encoding,
            num_lines,
            f"0x{ord(found[0]):02x}",
            shown(example),
            fits,
        )
    elif text and better and better[0].text != text and better[0].score > 1.25 * _own_score(text, encoding):
        log.warning(
            "%s: data.encoding=%s gives %r, which looks like no language: %s",
            name,
            encoding,
            shown(text),
            fits,
        )


def _own_score(text: str, encoding: str) -> float:
    """Score of the text by the alphabet of its encoding; latin-1 is cp1252 without control characters."""
    name = codecs.lookup(encoding).name
    known = next((each for each in WEIGHTS if codecs.lookup(CODECS.get(each, each)).name == name), None)
    return score(text, known or "cp1252") if known or name == "iso8859-1" else 1.0


def _explained(path: Path, error: UnicodeDecodeError, encoding: str) -> str:
    with unpacked(path), open_bytes(path) as stream:
        return _explained_bytes(stream, path, error, encoding)


def _explained_bytes(lines: Any, name: object, error: UnicodeDecodeError, encoding: str) -> str:
    """Sentence that names the first wrong line and byte, the share of wrong lines, and what would fit."""
    given = "utf-8" if encoding == AUTO else encoding
    if not _is_line_wise(given):
        return f"{name}: not {given} ({error.reason}), see what wrote the file, or try data.encoding=auto"
    total = num_wrong = num_right = size = first = 0
    place, sample = "", []
    for total, line in enumerate(lines, 1):
        if line.isascii():
            continue
        try:
            line.decode(given)
            num_right += 1
        except UnicodeDecodeError as fault:
            num_wrong += 1
            if not first:
                first = total
                found = f"0x{line[fault.start]:02x} is not {given} ({fault.reason})"
                place = f"{name}, line {total}, byte {fault.start + 1}: {found}"
            if size < SAMPLE_BYTES:
                sample.append(line[:SAMPLE_BYTES])
                size += len(line)
    if not first:
        return f"{name}: not {given} ({error.reason}); copy the file again"
    share = f"{num_wrong} of {total} lines ({num_wrong / total:.2%})"
    guesses = rank(b"\n".join(sample))
    fits = "; ".join(f"data.encoding={guess.told}" for guess in guesses)
    if num_right > num_wrong:
        looks = f", which {guesses[0].told}" if guesses else ""
        return f"{place}; so are {share}{looks}, but the others are {given}: repair or remove those lines"
    return f"{place}, in {share}; {fits or 'no known encoding gives letters: is it a text file?'}"


def _is_line_wise(encoding: str) -> bool:
    """True for encodings in which the byte 10 ends a line and nothing else."""
    return not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
