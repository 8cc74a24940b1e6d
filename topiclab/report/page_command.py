"""`python -m topiclab.report page run=<folder> [key=value ...]`: the page of a finished run, made anew."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from topiclab.config import ConfigError, compose_cell
from topiclab.report.page import write_page
from topiclab.run import CellFailed, run_cell


def render(overrides: Sequence[str]) -> int:
    """Describe the run where that is not done yet, write its page, print where it lies; 1 where it cannot.

    overrides: of task=describe.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        cfg, folder = compose_cell(["task=describe", *overrides])
        outcome = run_cell(cfg, folder)
        print(write_page(folder, outcome["manifest"]["title"], cfg["describe"]["page_documents"]))
    except (ConfigError, CellFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
