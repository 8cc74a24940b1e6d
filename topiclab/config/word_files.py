"""Files of stop words: read when a configuration is composed, so that it holds the words and no path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES_A_FILE = re.compile(r"[./\\]|^~")


def with_stop_words(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the words of files in data.vocabulary.stop_words moved to domain_words.

    A cell is then identified by the words, whatever becomes of the file, and a finished run needs no file.
    Raises ValueError for a file that is not there, is not UTF-8 or holds several words in a line.
    """
    data = cfg.get("data")
    vocabulary = data.get("vocabulary") if isinstance(data, Mapping) else None
    chosen = vocabulary.get("stop_words") if isinstance(vocabulary, Mapping) else None
    entries = chosen if isinstance(chosen, list) else [chosen]
    files = [entry for entry in entries if isinstance(entry, str) and NAMES_A_FILE.search(entry)]
    if not isinstance(data, Mapping) or not isinstance(vocabulary, Mapping) or not files:
        return dict(cfg)
    rest = [entry for entry in entries if entry not in files]
    words = [*(vocabulary.get("domain_words") or ()), *(word for file in files for word in read_words(file))]
    changed = {"stop_words": rest or "none", "domain_words": list(dict.fromkeys(words))}
    return {**cfg, "data": {**data, "vocabulary": {**vocabulary, **changed}}}


def read_words(file: str) -> list[str]:
    """Words of a file with one in a line; blank lines and what follows # or | are passed over."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise ValueError(
            f"data.vocabulary.stop_words={file}: no such file, seen from {Path.cwd()}; give a file with one "
            "word a line, a language, or a list of words such as [english,dear,team]"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"data.vocabulary.stop_words={file} is not UTF-8 ({error}); save it as UTF-8"
        ) from error
    words = []
    for number, line in enumerate(lines, 1):
        parts = re.split(r"[#|]", line)[0].split()
        if len(parts) > 1:
            raise ValueError(
                f"data.vocabulary.stop_words={file}: line {number} holds {len(parts)} words, "
                f"{line.strip()!r}, but words are left out one by one; give one word a line"
            )
        words += parts
    return words
