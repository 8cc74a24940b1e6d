"""Function words that no package lists well, in lists/: Chinese, and contractions of some languages."""

from __future__ import annotations

from functools import cache
from pathlib import Path

LISTS = Path(__file__).with_name("lists")


@cache
def function_words(name: str) -> tuple[str, ...]:
    """All words of lists/<name>.txt."""
    return tuple(word for line in _lines(name) for word in line.split())


def words_of(name: str, language: str) -> list[str]:
    """Words in the lines of lists/<name>.txt that begin with `<language>:`."""
    parts = (line.partition(":") for line in _lines(name))
    return [word for of, _, words in parts if of == language for word in words.split()]


@cache
def _lines(name: str) -> tuple[str, ...]:
    lines = (LISTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
