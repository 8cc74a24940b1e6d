"""Files that hold one document each: plain text, Markdown, HTML, Word and PDF."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

from topiclab.data.cleaning import INLINE
from topiclab.data.sources.binary_tables import check_zip
from topiclab.data.sources.text_lines import decoded

log = logging.getLogger(__name__)

# Of `folder_records`: the text, the path and the name of a file, and the top-level folder that it lies in.
FOLDER_COLUMNS = ("text", "path", "name", "folder")
SILENT = frozenset({"script", "style", "template", "noscript", "svg", "head"})


def folder_records(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Number, from 1, and FOLDER_COLUMNS of each file of a folder tree that holds a document, sorted by path.

    Raises ValueError where there is none, or one cannot be read.
    """
    files = files_of(path, FORMATS, "a table needs its file name in data.path")
    empty = 0
    for number, file in enumerate(files, 1):
        text = text_of(file, encoding)
        empty += not text or text.isspace()
        parts = file.relative_to(path).parts
        folder = parts[0] if len(parts) > 1 else None
        yield number, {"text": text, "path": "/".join(parts), "name": file.stem, "folder": folder}
    if empty:
        log.warning("%s: %d of %d files have no text; a PDF without any is a scan", path, empty, len(files))


def files_of(path: Path, suffixes: Sequence[str], way_out: str) -> list[Path]:
    """Files of a folder tree with one of the suffixes, sorted by path; the others are counted in the log."""
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    files = [file for file in found if not file.name.startswith(("~$", "._"))]  # Word's and macOS's own
    chosen = [file for file in files if file.suffix.lower() in suffixes]
    if not chosen:
        raise ValueError(f"data.path={path}: no file there ends in {', '.join(suffixes)}; {way_out}")
    if left := Counter(
        file.suffix.lower() or "(none)" for file in files if file.suffix.lower() not in suffixes
    ):
        kinds = ", ".join(f"{number} {suffix}" for suffix, number in left.most_common(5))
        log.warning("%s: %d files of other kinds left out: %s", path, left.total(), kinds)
    return chosen


def text_of(path: Path, encoding: str) -> str:
    """Text of a file of FORMATS; ValueError, with its path, if it cannot be read."""
    return READERS[path.suffix.lower()](path, encoding)


def html_text(content: str) -> str:
    """Visible text of an HTML page, one line for each block."""
    parser = _Page()
    parser.feed(content)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _Page(HTMLParser):
    """Collects the text of a page in `parts`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silenced: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in SILENT:
            self.silenced.append(tag)
        elif tag == "body":
            self.silenced.clear()  # a head without an end
        elif tag not in INLINE:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.parts.append("\n" if tag not in INLINE else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.silenced:
            del self.silenced[self.silenced.index(tag) :]
        elif tag not in INLINE:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.silenced:
            self.parts.append(data.replace("\n", " "))


def _plain(path: Path, encoding: str) -> str:
    content = path.read_bytes()
    text = decoded(content, encoding, path)
    if (zero := text.find("\0")) >= 0:
        raise ValueError(
            f"{path}: character {zero + 1} is 0, so this is not a text file; remove it from data.path, or "
            "set its data.encoding, such as utf-16-le"
        )
    return text


def _html(path: Path, encoding: str) -> str:
    return html_text(_plain(path, encoding))


def _word(path: Path, encoding: str) -> str:
    """Paragraphs and table cells of the body, in order."""
    docx = _extra("docx", "python-docx", path)
    check_zip(path)
    try:
        document = docx.Document(str(path))
        return "\n".join(_blocks(document))
    except Exception as error:  # python-docx raises KeyError, ValueError and lxml's errors for damaged files
        raise ValueError(f"{path}: not a readable .docx ({error}); save it again, or remove it") from error


def _blocks(container: Any) -> list[str]:
    found: list[str] = []
    for block in container.iter_inner_content():
        if hasattr(block, "rows"):
            seen: set[int] = set()  # merged cells occur once for each place
            for cell in (cell for row in block.rows for cell in row.cells):
                if id(cell._tc) not in seen:
                    seen.add(id(cell._tc))
                    found += _blocks(cell)
        else:
            found.append(block.text)
    return found


def _pdf(path: Path, encoding: str) -> str:
    """Text of all pages; empty for a scan."""
    pypdf = _extra("pypdf", "pypdf", path)
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # one warning for each odd object of a file
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it asks for a password")
        return "\n".join(page.extract_text() for page in reader.pages)
    except Exception as error:  # pypdf raises its own errors and, for damaged files, many others
        raise ValueError(f"{path}: not a readable .pdf ({error}); save it again, or remove it") from error


def _extra(module: str, package: str, path: Path) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{path}: {path.suffix.lower()} needs the package {package}: pip install 'topiclab[documents]'"
        ) from error


READERS: dict[str, Callable[[Path, str], str]] = {
    ".txt": _plain,
    ".md": _plain,
    ".html": _html,
    ".htm": _html,
    ".docx": _word,
    ".pdf": _pdf,
}
FORMATS = tuple(READERS)
