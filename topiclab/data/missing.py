"""Values that mean that there is none: of labels, dates, titles and ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

# As pandas, databases and spreadsheets write a missing value; none of these is a word.
USUAL = ("nan", "NaN", "-nan", "-NaN", "NAN", "None", "null", "NULL", "Null", "<NA>", "NaT", "#N/A", "#NA")
# May be a class: Namibia, North America, a navy, "none of these".
DOUBTFUL = ("NA", "N/A", "n/a", "na", "N.A.", "n.a.", "none", "NONE", "nil", "-", "--", "?", ".", "unknown")


def missing_values(given: Sequence[str] | None) -> frozenset[str]:
    """The values that data.missing names, USUAL ones in each of their spellings; None stands for USUAL."""
    if given is None:
        return frozenset(USUAL)
    lower = {value.lower() for value in given}
    return frozenset([*given, *(value for value in USUAL if value.lower() in lower)])


def is_missing(value: Any, missing: frozenset[str] = frozenset()) -> bool:
    """True for None, NaN, NaT, blank text, and what `missing` holds."""
    if value is None:
        return True
    if isinstance(value, str):
        stripped = value.strip()
        return not stripped or stripped in missing
    if isinstance(value, float):
        return math.isnan(value)
    return str(value) in ("NaT", "<NA>")  # pandas' own, without importing it


def doubtful(names: Iterable[str]) -> list[str]:
    """Names of classes that may mean a missing label, in their order."""
    return [name for name in names if name in DOUBTFUL]
