"""`python -m topiclab.report page run=<folder> [key=value ...]`: write the page of a finished run again.

Instead of run=, a line may hold the overrides of the fit, such as model=kmeans data=arxiv.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topiclab.config.compose import ConfigError, compose_cell
from topiclab.report.language import LANGUAGES, Language
from topiclab.report.page.charts import CHARTS
from topiclab.report.page.render import write_page
from topiclab.runs.run import CellFailed, run_cell

OWN = ("describe.", "rating=", "rating.", "report.")  # keys that only task=describe reads
SHARED = ("paths.", "trainer.device")  # keys that both tasks read


@dataclass(frozen=True)
class PageRequest:
    """Request by a line of `page` or `figures`: cfg, of task=describe, and the description's folder."""

    cfg: dict[str, Any]
    folder: Path

    @classmethod
    def of(cls, overrides: Sequence[str]) -> PageRequest:
        """Compose: run= and overrides of task=describe; without run=, those of a fit and those of OWN."""
        return cls(*compose_cell(["task=describe", *_with_run(overrides)]))

    @property
    def run(self) -> Path:
        return Path(self.cfg["run"])

    @property
    def say(self) -> Language:
        return LANGUAGES[self.cfg["report"]["language"]]

    def describe(self) -> str:
        """Describe the run if that is not done yet; return the page's title."""
        return run_cell(self.cfg, self.folder)["manifest"]["title"]

    def write_page(self, title: str) -> Path:
        """Write the page, with the charts of the run if there are any."""
        most = self.cfg["describe"]["page_documents"]
        return write_page(self.folder, title, most, self.say, self.run / CHARTS)


def render(overrides: Sequence[str]) -> int:
    """Describe the run if that is not done yet, write its page and print its path; return 1 on failure.

    overrides: as of `PageRequest.of`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asked = PageRequest.of(overrides)
        print(asked.write_page(asked.describe()))
    except (ConfigError, CellFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _with_run(overrides: Sequence[str]) -> list[str]:
    """Return the overrides of task=describe, with run= set to the folder of the fit given by the others."""
    if any(override.startswith("run=") for override in overrides):
        return list(overrides)
    own = [part for part in overrides if part.startswith(OWN)]
    _, run = compose_cell([part for part in overrides if part not in own])
    return [f"run={run}", *own, *(part for part in overrides if part.startswith(SHARED))]
