"""`python -m topiclab.report page run=<folder> [key=value ...]`: write the page of a finished run again.

Instead of run=, a line may hold the overrides of the fit, such as model=kmeans data=arxiv.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from topiclab.config.compose import ConfigError, compose_cell
from topiclab.report.language import LANGUAGES
from topiclab.report.page.charts import CHARTS
from topiclab.report.page.render import write_page
from topiclab.runs.run import CellFailed, run_cell

OWN = ("describe.", "rating=", "rating.", "report.")  # keys that only task=describe reads
SHARED = ("paths.", "trainer.device")  # keys that both tasks read


def render(overrides: Sequence[str]) -> int:
    """Describe the run if that is not done yet, write its page and print its path; return 1 on failure.

    overrides: as of `describing`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        cfg, folder = describing(overrides)
        outcome = run_cell(cfg, folder)
        print(write_run_page(cfg, folder, outcome["manifest"]["title"]))
    except (ConfigError, CellFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def describing(overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """Configuration of task=describe for a line of `page` or `figures`, and the folder of the description.

    overrides: run= and those of task=describe; without run=, those of a fit and those of OWN.
    """
    return compose_cell(["task=describe", *_with_run(overrides)])


def write_run_page(cfg: Mapping[str, Any], folder: Path, title: str) -> Path:
    """Write the page of a description, with the charts of its run if there are any; cfg: of `describing`."""
    say, charts = LANGUAGES[cfg["report"]["language"]], Path(cfg["run"]) / CHARTS
    return write_page(folder, title, cfg["describe"]["page_documents"], say, charts)


def _with_run(overrides: Sequence[str]) -> list[str]:
    """Return the overrides of task=describe, with run= set to the folder of the fit given by the others."""
    if any(override.startswith("run=") for override in overrides):
        return list(overrides)
    own = [part for part in overrides if part.startswith(OWN)]
    _, run = compose_cell([part for part in overrides if part not in own])
    return [f"run={run}", *own, *(part for part in overrides if part.startswith(SHARED))]
