"""Parts that a finished cell lacks for a reason that may pass, such as an endpoint that was down."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from hydra.utils import get_object

from topiclab.atomic import finite, write_json
from topiclab.config.configuration import Configuration
from topiclab.digest import file_facts, seal
from topiclab.runs.outcome import Finished

log = logging.getLogger("topiclab")

# Functions that measure a part from the files of the run, as (Configuration, folder) -> Evaluation. A cell
# that lacks another part runs its task again, in which what was done before comes from the cache.
MEASURES = {"llm_rating": "topiclab.pipeline.ratings.rate_saved"}


def is_complete(result: Finished | None) -> bool:
    """True for a finished result to which the same line has nothing to add."""
    return result is not None and not result.get("unfinished")


def complete(cfg: Configuration, folder: Path, result: Finished) -> Finished | None:
    """Measure the missing metrics of a finished run and replace its result.json; None if its task has to run.

    Everything else in the result stays, also if this raises.
    """
    missing = result.get("unfinished", [])
    if not set(missing) <= MEASURES.keys():
        return None
    log.info("finished but for %s, which is done now: %s", ", ".join(missing), folder)
    metrics, reasons, unfinished = dict(result["metrics"]), dict(result["reasons"]), list[str]()
    per_topic: dict[str, Sequence[float]] = {}
    for part in missing:
        found = get_object(MEASURES[part])(cfg, folder)
        for name, value in found.metrics.items():
            reason = found.reasons.get(name)
            metrics[name] = value if reason is None else None
            reasons = {key: told for key, told in reasons.items() if key != name}
            reasons |= {} if reason is None else {name: reason}
        unfinished += found.unfinished
        per_topic |= found.per_topic
    result = _with_per_topic(result, per_topic, folder)
    parts = {"metrics": metrics, "reasons": reasons, "unfinished": unfinished}
    completed = seal({**result, **parts})
    write_json(folder / "result.json", completed)
    return cast(Finished, completed)


def _with_per_topic(result: Finished, per_topic: Mapping[str, Sequence[float]], folder: Path) -> Finished:
    """Add the values to topic_metrics.json, and its new digest to the result, which is returned."""
    path, files = folder / "topic_metrics.json", dict(result.get("files", {}))
    if files.pop(path.name, None) is None:
        write_json(path, finite(json.loads(path.read_text()) | per_topic))
        return result
    # not recorded while it is replaced: a kill in between is no damage
    write_json(folder / "result.json", seal({**result, "files": files}))
    write_json(path, finite(json.loads(path.read_text()) | per_topic))
    return {**result, "files": files | file_facts(folder, [path])}


def tell(result: Finished) -> None:
    """Log what a result lacks, why, and the way out."""
    for part in result.get("unfinished", []):
        reason = result["reasons"].get(part, "see the warnings above")
        log.warning("%s is missing (%s); the same line asks for it again", part, reason)
