"""Rating of topics by a language model, from 1 (unrelated words) to 3, as in Stammbach et al. 2023."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from topiclab.atomic import write_json
from topiclab.cache import MANIFEST, Key, key_hash
from topiclab.metrics.undefined import UndefinedMetric

log = logging.getLogger(__name__)


class RatingError(RuntimeError):
    """Raised or yielded for a failure of the rater that may pass; other ratings remain valid."""


class Rater(Protocol):
    """Rates lists of words. `fingerprint()` is plain JSON: all that a rating depends on except the words."""

    num_words: int

    def fingerprint(self) -> dict[str, Any]: ...

    def rate(self, topics: Sequence[Sequence[str]]) -> Iterator[tuple[int, float | str | RatingError]]:
        """Yield index in topics and rating in [1, 3], in any order, as available.

        In place of a rating, a text is the reason why the model gave none, and a RatingError a failure that
        may pass. Raises RatingError where it cannot continue.
        """
        ...


def llm_rating(topics: Sequence[Sequence[str]], rater: Rater, cache_root: Path | None) -> np.ndarray:
    """Ratings (K,) in [1, 3]; each list of words is rated once per rater and cache_root.

    topics: words in order of rank, as shown to the rater.
    Raises UndefinedMetric, with the available ratings, if some topic has none; it is passing if a later call
    may rate them.
    """
    kept = None if cache_root is None else Ratings(Path(cache_root), rater.fingerprint())
    values = np.array([math.nan if kept is None else kept.read(words) for words in topics])
    missing: list[int] = np.flatnonzero(np.isnan(values)).tolist()
    asked = [topics[topic] for topic in missing]
    reasons: list[str | RatingError] = []
    try:
        for place, value in rater.rate(asked) if asked else ():
            if isinstance(value, (str, RatingError)):
                reasons.append(value)
                continue
            values[missing[place]] = value
            if kept is not None:
                kept.write(asked[place], value)
    except RatingError as error:
        reasons.append(error)
    if reasons:
        unrated = int(np.isnan(values).sum())
        failures = [reason for reason in reasons if isinstance(reason, RatingError)]
        told = failures[-1] if failures else reasons[-1]
        raise UndefinedMetric(
            f"{unrated} of {len(values)} topics were not rated: {told}", values, is_passing=bool(failures)
        )
    return values


class Ratings:
    """Ratings of one rater under `<cache>/ratings/`: a file for each list of words, written atomically."""

    def __init__(self, cache_root: Path, fingerprint: Key) -> None:
        self.folder = cache_root / "ratings" / key_hash(fingerprint)
        self.fingerprint = fingerprint

    def read(self, words: Sequence[str]) -> float:
        """Stored rating; nan if there is none yet or its file is damaged."""
        path = self._path(words)
        if not path.is_file():
            return math.nan
        try:
            return float(json.loads(path.read_bytes())["rating"])
        except (ValueError, KeyError, TypeError) as fault:
            log.warning("%s is damaged (%s); rating it again", path, fault)
            return math.nan

    def write(self, words: Sequence[str], rating: float) -> None:
        if not (self.folder / MANIFEST).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / MANIFEST, {"inputs": dict(self.fingerprint)})
        write_json(self._path(words), {"words": list(words), "rating": rating})

    def _path(self, words: Sequence[str]) -> Path:
        return self.folder / f"{key_hash({'words': list(words)})}.json"
