"""Values as people type them, in quotes where Hydra's grammar would not read them as one text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

# Keys, or endings of keys, whose value is a path or a text in the user's own words.
PATH_KEY = re.compile(
    r"run|reference|reference\.words|paths\.\w+|\w+\.(path|run)|data\.vocabulary\.stop_words"
)
TEXT_KEY = re.compile(r"prompt|\w+\.prompt|data\.(delimiter|timestamp_format|\w+_column)")


def quoted(arguments: Sequence[str], *, is_sweep: bool = False) -> list[str]:
    """The arguments, with paths and other free texts in quotes where Hydra needs them.

    is_sweep: a comma separates values there, unless a file or folder of that whole name exists.
    """
    return [_quoted(argument, is_sweep) for argument in arguments]


def in_quotes(value: str) -> str:
    """The value in quotes, for Hydra: a backslash is literal there except before a quote and at the end."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def as_typed(argument: str) -> str | None:
    """The argument as a shell and Hydra take it, its value in quotes; None if quotes would not help."""
    key, equals, value = argument.partition("=")
    line = f"{key}={in_quotes(value)}"
    return in_shell(line) if equals and _parsed(line) is not None else None


def in_shell(line: str) -> str:
    """The line as a shell takes it, in the double quotes that people know where they are enough."""
    quoted_line = shlex.quote(line)
    return f'"{line}"' if quoted_line != line and not set(line) & set('"$`\\!') else quoted_line


def _quoted(argument: str, is_sweep: bool) -> str:
    prefix, key, value = _split(argument)
    if key == "prompt" and not is_sweep and value not in ("", "null") and value[0] not in "\"'":
        return f"{prefix}{key}={in_quotes(value)}"  # also where Hydra would unescape its text
    is_path, is_text = PATH_KEY.fullmatch(key), TEXT_KEY.fullmatch(key)
    if not value or not (is_path or is_text) or _is_one_text(argument):
        return argument
    parsed = _parsed(argument)
    if parsed is not None and not parsed.is_sweep_override() and parsed.value() is None:
        return argument
    whole = f"{prefix}{key}={in_quotes(value)}"
    if is_path and _exists(value):
        return whole
    if is_sweep and parsed is not None and parsed.is_sweep_override():
        return argument
    if parsed is not None and isinstance(parsed.value(), (list, dict)) and not parsed.is_sweep_override():
        return argument
    if not is_sweep or "," not in value:
        return whole
    if not is_path:
        return argument
    parts = [part if _is_one_text(f"{key}={part}") else in_quotes(part) for part in value.split(",")]
    return f"{prefix}{key}={','.join(parts)}"


def _split(argument: str) -> tuple[str, str, str]:
    """The + or ++ of an override, its key and its value; no value for a flag or a removal."""
    key, _, value = argument.partition("=")
    bare = key.lstrip("+")
    return key[: len(key) - len(bare)], bare, value


def _is_one_text(argument: str) -> bool:
    """True if Hydra reads the value as one text."""
    parsed = _parsed(argument)
    return parsed is not None and not parsed.is_sweep_override() and isinstance(parsed.value(), str)


@cache
def _parsed(argument: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def _exists(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, of an unknown user, with a null byte
        return False
