"""Fitted: a finished fit as charts read it, from its folder alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from topiclab.report.description import Description
from topiclab.report.language import Language
from topiclab.result import TopicResult

WORDS_IN_NAME = 3
LABEL = "label"
MAX_VALUES, BINS = 12, 5  # of a number: with more values than the first, ranges


class NoChart(ValueError):
    """The reason why a run has no data for a chart: a phrase and its values."""

    def __init__(self, phrase: str, **values: object) -> None:
        super().__init__(phrase.format(**values))
        self.phrase, self.values = phrase, values

    def told(self, say: Language) -> str:
        """The reason in a language."""
        return say(self.phrase, **self.values)


@dataclass(frozen=True, eq=False)
class Fitted:
    """D documents and K topics of a finished fit.

    names: K, the keyword of a topic where the run is described, else its best words.
    groups: category of every document, None where it has none, by column: its label and covariates.
    per_topic: for each metric of topics K values, None where it is undefined.
    history: losses by epoch.  description: None if the run is not described, or its topics were merged.
    modality: text or images, whose words are codes.  undescribed: why there is no description.
    """

    folder: Path
    result: TopicResult
    names: list[str]
    groups: dict[str, list[str | None]] = field(default_factory=dict)
    per_topic: dict[str, list[float | None]] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    description: Description | None = None
    modality: str = "text"
    undescribed: str = ""

    @property
    def num_topics(self) -> int:
        return self.result.num_topics

    @property
    def shares(self) -> np.ndarray:
        """Mean proportion (K,) float64 of every topic over the documents."""
        return self.result.theta.mean(axis=0, dtype=np.float64)

    @property
    def by_share(self) -> np.ndarray:
        """Topics (K,), the largest first."""
        return np.argsort(-self.shares, kind="stable")

    def texts(self) -> list[str]:
        """Texts that charts of this fit may show."""
        shown = [*self.names, *(word for words in self.result.topic_words(60) for word in words)]
        shown += {name for of_column in self.groups.values() for name in of_column if name}
        if self.description and self.description.time:
            shown += [word for topic in self.description.time["terms"] for terms in topic for word in terms]
        return shown


def read_fitted(folder: Path, description: Description | None = None, undescribed: str = "") -> Fitted:
    """Read the folder of a finished fit; ValueError names a file that cannot be read.

    description: of the same topics.  undescribed: the reason if it is None.
    """
    result = TopicResult.load(folder / "topics.npz")
    found = _json(folder / "result.json") or {}
    modality = ((found.get("config") or {}).get("data") or {}).get("modality") or "text"
    words = [" ".join(words) for words in result.topic_words(WORDS_IN_NAME)]
    names = words if description is None else [topic["keyword"] for topic in description.topics]
    return Fitted(
        folder,
        result,
        names,
        groups=_groups(folder, result),
        per_topic=_json(folder / "topic_metrics.json") or {},
        history=_json(folder / "training_history.json") or [],
        description=description,
        modality=modality,
        undescribed=undescribed,
    )


def _json(path: Path) -> Any:
    """Content of a file of the run; None if it has no such file."""
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove {path.parent} and fit again") from error


def _groups(folder: Path, result: TopicResult) -> dict[str, list[str | None]]:
    """Categories by column, in the order of theta: labels, then covariates; no column of nulls alone."""
    found: dict[str, list[str | None]] = {}
    if (path := folder / "documents.parquet").exists():
        table = _table(path)
        is_document = np.array([reason is None for reason in table["dropped"].to_pylist()], dtype=bool)
        found[LABEL] = _ordered(path, table.filter(pa.array(is_document)), result)[LABEL].to_pylist()
    if (path := folder / "covariates.parquet").exists():
        table = _ordered(path, _table(path), result)
        found |= {name: categories(table[name]) for name in table.column_names if name != "id"}
    return {name: values for name, values in found.items() if any(value is not None for value in values)}


def _table(path: Path) -> pa.Table:
    try:
        return parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove {path.parent} and fit again") from error


def _ordered(path: Path, table: pa.Table, result: TopicResult) -> pa.Table:
    """Documents in the order of theta; those of a run without ids stand in it already."""
    if table.num_rows != len(result.theta):
        raise ValueError(
            f"{path} has {table.num_rows} documents, but topics.npz has {len(result.theta)}; "
            f"remove {path.parent} and fit again"
        )
    row_of = {name: row for row, name in enumerate(table["id"].to_pylist())}
    if len(row_of) == table.num_rows and all(name in row_of for name in result.ids) and result.ids:
        table = table.take(pa.array([row_of[name] for name in result.ids]))
    return table


def categories(column: pa.ChunkedArray) -> list[str | None]:
    """Category of every document: its value, or for a number with many values one of BINS quantile ranges."""
    values = column.to_pylist()
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return [None if value is None else str(value) for value in values]
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if len(np.unique(numbers[np.isfinite(numbers)])) <= MAX_VALUES:
        return [f"{number:g}" if np.isfinite(number) else None for number in numbers.tolist()]
    bounds = np.unique(np.nanquantile(numbers, np.linspace(0, 1, BINS + 1)))
    place = np.clip(np.searchsorted(bounds, numbers, side="right") - 1, 0, len(bounds) - 2)
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(bounds.tolist())]
    return [
        names[at] if is_known else None
        for at, is_known in zip(place.tolist(), np.isfinite(numbers).tolist(), strict=True)
    ]
