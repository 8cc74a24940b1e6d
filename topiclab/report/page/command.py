"""`python -m topiclab.report page run=<folder> [key=value ...]`: the page of a finished run, made anew.

In the place of run= a line may hold what the fit was asked for, such as model=kmeans data=arxiv.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from topiclab.config.compose import ConfigError, compose_cell
from topiclab.report.page.render import write_page
from topiclab.runs.run import CellFailed, run_cell

OWN = ("describe.", "rating=", "rating.")  # groups of task=describe alone
SHARED = ("paths.", "trainer.device")  # that both read


def render(overrides: Sequence[str]) -> int:
    """Describe the run where that is not done yet, write its page, print where it lies; 1 where it cannot.

    overrides: run= and those of task=describe; without run=, those of a fit, and those of `describe.`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        cfg, folder = compose_cell(["task=describe", *_with_run(overrides)])
        outcome = run_cell(cfg, folder)
        print(write_page(folder, outcome["manifest"]["title"], cfg["describe"]["page_documents"]))
    except (ConfigError, CellFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _with_run(overrides: Sequence[str]) -> list[str]:
    """The overrides of task=describe, with the folder of the fit that the others ask for."""
    if any(override.startswith("run=") for override in overrides):
        return list(overrides)
    own = [part for part in overrides if part.startswith(OWN)]
    _, run = compose_cell([part for part in overrides if part not in own])
    return [f"run={run}", *own, *(part for part in overrides if part.startswith(SHARED))]
