"""Covariates: known facts about documents, numeric or categorical, read and checked as a whole."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from topiclab.data.missing import is_missing

MAX_LEVELS = 200  # of a categorical covariate
MAX_NAMED = 3  # places in a message
NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")


@dataclass(frozen=True, eq=False)
class Covariate:
    """One covariate of D documents.

    values: (D,) float64 where it is numeric, else (D,) int64 index into levels.
    levels: of a categorical one, by descending frequency, ties in alphabetical order; () where it is numeric.
    """

    name: str
    values: np.ndarray
    levels: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        return not self.levels


@dataclass(frozen=True, eq=False)
class Covariates:
    """The covariates of D documents, in the order of data.covariate_columns."""

    columns: tuple[Covariate, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def __getitem__(self, name: str) -> Covariate:
        """The covariate of this name; ValueError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ValueError(
            f"no covariate {name}; there are {', '.join(self.names)}: see data.covariate_columns"
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def at(self, rows: np.ndarray) -> Covariates:
        """The covariates of some documents; levels stay as they are."""
        return Covariates(tuple(replace(column, values=column.values[rows]) for column in self.columns))

    def table(self) -> dict[str, np.ndarray]:
        """Column of each covariate, as numbers or as names of levels."""
        return {
            column.name: column.values
            if column.is_numeric
            else np.array(column.levels, object)[column.values]
            for column in self.columns
        }

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over names, levels and values."""
        digest = hashlib.sha256()
        for column in self.columns:
            digest.update(repr((column.name, column.levels)).encode("utf-8", "surrogatepass"))
            digest.update(column.values.tobytes())
        return digest.hexdigest()


def read_covariates(
    told: Mapping[str, Sequence[Any]],
    places: Sequence[str],
    missing: frozenset[str] = frozenset(),
    like: Covariates | None = None,
) -> Covariates:
    """Covariates from D values of each as a source has them; text is numeric if all of it is numbers.

    places: of the D documents, for messages.  missing: values that mean none.
    like: those of a fit, whose kinds and levels are then kept; of them, told may hold more.
    Raises ValueError for a gap, values of two types, a constant, a categorical covariate of more than
    MAX_LEVELS levels or of more than half as many as there are documents, and, with like, for a covariate
    that is absent, a text in a numeric one, and a level that the fit has not seen.
    """
    names = list(told) if like is None else list(like.names)
    if absent := [name for name in names if name not in told]:
        raise ValueError(
            f"these documents have no covariate {', '.join(absent)}, which the model was fitted with; name "
            f"all of them: data.covariate_columns=[{','.join(names)}]"
        )
    columns = []
    for name in names:
        values = [
            _plain(value, name, place, missing) for value, place in zip(told[name], places, strict=True)
        ]
        _refuse_gaps(name, values, places)
        _refuse_two_types(name, values, places)
        if like is not None:
            columns.append(_alike(like[name], values, places))
            continue
        column = _numeric(name, values) or _categorical(name, values)
        _refuse_useless(column)
        columns.append(column)
    return Covariates(tuple(columns))


def _plain(value: Any, name: str, place: str, missing: frozenset[str]) -> Any:
    """A float or a text; None for a gap."""
    if is_missing(value, missing):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, str)):  # the same levels from every format
        return str(value).strip()
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise ValueError(f"{place}: covariate {name} is {value}; give a finite number")
        return float(value)
    raise ValueError(
        f"{place}: covariate {name} is a {type(value).__name__}; give a number or a text, such as a year"
    )


def _refuse_gaps(name: str, values: Sequence[Any], places: Sequence[str]) -> None:
    if gaps := [place for value, place in zip(values, places, strict=True) if value is None]:
        raise ValueError(
            f"covariate {name} is missing in {len(gaps)} of {len(values)} documents: {_told(gaps)}; fill it "
            f"there, remove these records, or leave {name} out of data.covariate_columns"
        )


def _refuse_two_types(name: str, values: Sequence[Any], places: Sequence[str]) -> None:
    texts = [row for row, value in enumerate(values) if isinstance(value, str)]
    if not texts or len(texts) == len(values):
        return
    number = next(row for row, value in enumerate(values) if not isinstance(value, str))
    raise ValueError(
        f"covariate {name} has two types: {values[texts[0]]!r} is a text ({places[texts[0]]}) and "
        f"{values[number]:g} a number ({places[number]}); write all values in one way"
    )


def _refuse_useless(column: Covariate) -> None:
    """Raise ValueError for a constant, and for a categorical covariate of too many levels."""
    num_docs, name = len(column.values), column.name
    if num_docs and (column.values == column.values[0]).all():
        value = f"{column.values[0]:g}" if column.is_numeric else column.levels[0]
        raise ValueError(
            f"covariate {name} is {value} in all {num_docs} documents, so it explains nothing; leave it out "
            "of data.covariate_columns"
        )
    if len(column.levels) > min(MAX_LEVELS, num_docs / 2):
        raise ValueError(
            f"covariate {name} is categorical and has {len(column.levels)} levels in {num_docs} documents "
            f"({', '.join(column.levels[:MAX_NAMED])}, ...), but at most {MAX_LEVELS} and half as many as "
            "documents can be told apart; group them, or leave it out of data.covariate_columns"
        )


def _numeric(name: str, values: Sequence[Any]) -> Covariate | None:
    """The covariate if all values are numbers, else None."""
    if all(isinstance(value, float) or NUMBER.fullmatch(value) for value in values):
        return Covariate(name, np.array([float(value) for value in values], np.float64))
    return None


def _categorical(name: str, values: Sequence[str]) -> Covariate:
    counts = Counter(values)
    levels = sorted(counts, key=lambda level: (-counts[level], level))
    index = {level: number for number, level in enumerate(levels)}
    return Covariate(name, np.array([index[value] for value in values], np.int64), tuple(levels))


def _alike(fitted: Covariate, values: Sequence[Any], places: Sequence[str]) -> Covariate:
    """New values of a covariate of a fit."""
    name = fitted.name
    if fitted.is_numeric:
        if column := _numeric(name, values):
            return column
        row = next(row for row, value in enumerate(values) if not NUMBER.fullmatch(value))
        raise ValueError(
            f"{places[row]}: covariate {name} is {values[row]!r}, but the model was fitted with numbers; "
            "give a number"
        )
    index = {level: number for number, level in enumerate(fitted.levels)}
    written = [f"{value:g}" if isinstance(value, float) else value for value in values]
    for value, place in zip(written, places, strict=True):
        if value not in index:
            known = ", ".join(fitted.levels[:10]) + (", ..." if len(index) > 10 else "")
            raise ValueError(
                f"{place}: covariate {name} is {value!r}, a level that the model was not fitted with; it "
                f"knows {known}"
            )
    return replace(fitted, values=np.array([index[value] for value in written], np.int64))


def _told(places: Sequence[str]) -> str:
    more = len(places) - MAX_NAMED
    return ", ".join(places[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
