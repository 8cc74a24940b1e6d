"""Description: the files that task=describe writes to a folder, read and checked once for map and page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np

COLUMNS = ("id", "title", "snippet", "topic", "strength", "x", "y", "label", "date")
CORE = (2.5, 97.5)  # percentiles of the documents between which the bulk of them lies
REACH = 0.12  # of the width of the bulk that a frame leaves on each side for those around it
GRID = 40  # squares along the map, among which the fullest of each topic is sought
UNDATED = np.iinfo(np.int32).min


class RepresentativeRecord(TypedDict):
    """A document of a topic in topics.json; row: its place in documents.parquet."""

    row: int
    id: str
    title: str
    similarity: float


class TopicRecord(TypedDict):
    """A topic in topics.json; terms: with their scores, best first; trend: None without dates."""

    topic: int
    label: str
    keyword: str
    size: int
    share: float
    words: list[str]
    terms: list[tuple[str, float]]
    representatives: list[RepresentativeRecord]
    diverse: list[RepresentativeRecord]
    trend: float | None


class TreeRecord(TypedDict):
    """tree.json; merges: scipy's linkage rows."""

    merges: list[list[float]]
    order: list[int]
    distance: str


class TrendRecord(TypedDict):
    """The trend of a topic in time.json; slope: per period, with its interval."""

    topic: int
    slope: float
    low: float
    high: float
    kind: Literal["emerging", "steady", "fading"]


class LaterTimeRecord(TypedDict, total=False):
    """Part of time.json that descriptions of earlier versions lack.

    words: for each of K topics its terms, each with the share of its documents that have it, by period.
    """

    words: list[list[tuple[str, list[float | None]]]]


class TimeRecord(LaterTimeRecord):
    """time.json: lists over K topics of lists over periods."""

    unit: str
    periods: list[str]
    totals: list[int]
    counts: list[list[float]]
    shares: list[list[float | None]]
    low: list[list[float | None]]
    high: list[list[float | None]]
    level: float
    terms: list[list[list[str]]]
    trends: list[TrendRecord]
    undated: int
    outside: int


@dataclass(frozen=True, eq=False)
class Description:
    """D documents and K topics of a run, as displayed.

    topics: K, as in topics.json.  ids, titles, snippets: D strings.  topic: (D,) int32, main topic.
    strength: (D,) float32, share of the main topic.  coordinates: (D, 2) float32.
    label: (D,) int32 index into label_names, which are ordered by frequency; -1 if a document has none.
    days: (D,) int32 since 1970-01-01, UNDATED if a document has no date.
    tree, time: as in tree.json and time.json; None if there is no such file.
    """

    num_docs: int
    topics: list[TopicRecord]
    ids: list[str]
    titles: list[str]
    snippets: list[str]
    topic: np.ndarray
    strength: np.ndarray
    coordinates: np.ndarray
    label: np.ndarray
    label_names: list[str]
    days: np.ndarray
    domain_words: list[str] = field(default_factory=list)
    tree: TreeRecord | None = None
    time: TimeRecord | None = None

    @property
    def num_topics(self) -> int:
        return len(self.topics)

    @cached_property
    def frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the part of the map that is shown, see `map_frame`."""
        return map_frame(self.coordinates)

    @cached_property
    def num_beyond(self) -> int:
        """Number of documents outside the frame."""
        low, high = self.frame
        return int(((self.coordinates < low) | (self.coordinates > high)).any(axis=1).sum())

    @cached_property
    def anchors(self) -> np.ndarray:
        """Position of each topic's name, (K, 2) float64: in its densest part."""
        return topic_anchors(self.coordinates, self.topic, self.num_topics)


def read_description(folder: Path) -> Description:
    """Read a description folder; raise ValueError with the file that is missing or cannot be shown."""
    if not (folder / "topics.json").exists():
        raise ValueError(
            f"{folder} holds no topics.json; describe the run first: task=describe run=<its folder>"
        )
    content = _read(folder / "topics.json", _json)
    topics = sorted(content["topics"], key=lambda topic: topic["topic"])
    if [topic["topic"] for topic in topics] != list(range(content["num_topics"])):
        raise ValueError(
            f"{folder / 'topics.json'} does not list topics 0 to {content['num_topics'] - 1} once each; "
            "describe the run again"
        )
    columns = _read(folder / "documents.parquet", _columns)
    _check(folder / "documents.parquet", columns["topic"], columns["coordinates"], len(topics))
    tree, time = (
        _read(folder / name, _json) if (folder / name).exists() else None
        for name in ("tree.json", "time.json")
    )
    return Description(
        content["num_docs"], topics, **columns, domain_words=content["domain_words"], tree=tree, time=time
    )


def map_frame(coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner (2,) float64 around the bulk of points (D, 2), which few cannot shrink.

    Those of the points within the range of the percentiles CORE, made wider by REACH of it on each side.
    """
    if not len(coordinates):
        return np.zeros(2), np.ones(2)
    low, high = np.percentile(coordinates.astype(np.float64), CORE, axis=0)
    reach = REACH * (high - low)
    inside = coordinates[((coordinates >= low - reach) & (coordinates <= high + reach)).all(axis=1)]
    if not len(inside):
        return low - reach, high + reach
    return inside.min(axis=0).astype(np.float64), inside.max(axis=0).astype(np.float64)


def topic_anchors(coordinates: np.ndarray, topic: np.ndarray, num_topics: int, steps: int = 5) -> np.ndarray:
    """Densest place (K, 2) float64 of each topic's points (D, 2); the origin for a topic without points.

    Mean shift (Comaniciu & Meer 2002) from the fullest square of a grid, in a disc as wide as three squares.
    The median of a topic in several parts would lie between them, where none of its documents is.
    """
    anchors = np.zeros((num_topics, 2))
    if not len(coordinates):
        return anchors
    reach = max(float(np.ptp(coordinates, axis=0).max()) / GRID, 1e-9)
    order = np.argsort(topic, kind="stable")
    bounds = np.searchsorted(topic[order], np.arange(num_topics + 1))
    for number in np.flatnonzero(np.diff(bounds)):
        points = coordinates[order[bounds[number] : bounds[number + 1]]].astype(np.float64)
        squares = np.floor(points / reach).astype(np.int64)
        kinds, kind_of, counts = np.unique(squares, axis=0, return_inverse=True, return_counts=True)
        around = (np.abs(kinds[:, None] - kinds[None]).max(axis=2) <= 1) @ counts
        centre = points[kind_of.ravel() == around.argmax()].mean(axis=0)
        for _ in range(steps):
            is_near = np.hypot(*(points - centre).T) <= 1.5 * reach
            centre = points[is_near].mean(axis=0) if is_near.any() else centre
        anchors[number] = centre
    return anchors


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} cannot be read ({error}); describe the run again") from error


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _columns(path: Path) -> dict[str, Any]:
    from pyarrow import parquet

    table = parquet.read_table(path, columns=list(COLUMNS))
    found = {name: table.column(name).to_numpy() for name in ("topic", "strength", "x", "y")}
    label = table.column("label").combine_chunks().dictionary_encode()
    numbers = label.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    names: list[str] = label.dictionary.to_pylist()
    counts = np.bincount(numbers[numbers >= 0], minlength=len(names))
    rank = sorted(range(len(names)), key=lambda number: (-counts[number], names[number]))
    places = np.full(len(names) + 1, -1, np.int32)  # the last entry is for -1
    places[rank] = np.arange(len(names))
    days = table.column("date").cast("date32").cast("int32").fill_null(int(UNDATED))
    return {
        "ids": table.column("id").to_pylist(),
        "titles": [title or "" for title in table.column("title").to_pylist()],
        "snippets": [snippet or "" for snippet in table.column("snippet").to_pylist()],
        "topic": found["topic"].astype(np.int32),
        "strength": found["strength"].astype(np.float32),
        "coordinates": np.stack([found["x"], found["y"]], axis=1).astype(np.float32),
        "label": places[numbers],
        "label_names": [names[number] for number in rank],
        "days": days.to_numpy().astype(np.int32),
    }


def _check(path: Path, topic: np.ndarray, coordinates: np.ndarray, num_topics: int) -> None:
    if len(topic) and not 0 <= topic.min() <= topic.max() < num_topics:
        raise ValueError(
            f"{path} has topics {topic.min()} to {topic.max()}, but topics.json has 0 to {num_topics - 1}; "
            "describe the run again"
        )
    if not np.isfinite(coordinates).all():
        raise ValueError(f"{path} has coordinates that are not finite; describe the run again")
