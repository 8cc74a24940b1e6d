"""Parts that a finished cell lacks for a reason that may pass, such as an endpoint that was down."""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.utils import get_object

from topiclab.atomic import write_json
from topiclab.config.configuration import Configuration
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
    for part in missing:
        found = get_object(MEASURES[part])(cfg, folder)
        for name, value in found.metrics.items():
            reason = found.reasons.get(name)
            metrics[name] = value if reason is None else None
            reasons = {key: told for key, told in reasons.items() if key != name}
            reasons |= {} if reason is None else {name: reason}
        unfinished += found.unfinished
    completed: Finished = {**result, "metrics": metrics, "reasons": reasons, "unfinished": unfinished}
    write_json(folder / "result.json", completed)
    return completed


def tell(result: Finished) -> None:
    """Log what a result lacks, why, and the way out."""
    for part in result.get("unfinished", []):
        reason = result["reasons"].get(part, "see the warnings above")
        log.warning("%s is missing (%s); the same line asks for it again", part, reason)
