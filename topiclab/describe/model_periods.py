"""Words of a topic in each period as a model over time has them, from periods.json of its run."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from topiclab.data.period_bins import PERIODS
from topiclab.data.periods import UNITS
from topiclab.describe.time import TopicTimes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PeriodWords:
    """T periods of one unit, in order, and K lists of T lists of words, the likeliest first."""

    unit: str
    periods: list[str]
    words: list[list[list[str]]]


def read_period_words(run: Path, num_topics: int) -> PeriodWords | None:
    """Words of a run's model by period; None for a model without.

    Raises ValueError for a file that is damaged or not of this many topics.
    """
    path = run / PERIODS
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found = PeriodWords(told["unit"], list(told["periods"]), told["words"])
        sizes = [len(found.periods)] * num_topics
        if found.unit not in UNITS or [len(of_topic) for of_topic in found.words] != sizes:
            raise ValueError("it is not of the topics of this run")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove {run} and fit again") from error
    return found


def with_own_words(times: TopicTimes, own: PeriodWords, num: int) -> TopicTimes:
    """Topics over time with the model's words as terms, num for each period.

    A period without training documents has the words of the last one before it, as its documents do.
    times that are of another unit stay as they are.
    """
    if times.unit != own.unit:
        log.info("words by %s are of the documents: the model has its own by %s", times.unit, own.unit)
        return times
    places, last = [], 0
    known = {name: place for place, name in enumerate(own.periods)}
    for name in times.periods:
        last = known.get(name, last)
        places.append(last)
    return replace(times, terms=[[of_topic[place][:num] for place in places] for of_topic in own.words])
