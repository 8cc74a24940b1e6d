"""`python -m topiclab.report figures run=<folder> [key=value ...]`: charts of a finished fit, and its page.

Instead of run=, a line may hold the overrides of the fit, such as model=kmeans data=arxiv.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from topiclab.config.compose import ConfigError
from topiclab.report.description import read_description
from topiclab.report.figures.charts import Chart, draw_run
from topiclab.report.page.charts import CHARTS
from topiclab.report.page.command import PageRequest
from topiclab.runs.run import CellFailed, finished_fit


def draw(overrides: Sequence[str]) -> int:
    """Describe the run if that is not done yet and can be, draw its charts and write them on its page.

    Prints the path of every chart, and the reason for each that the run has no data for. Returns 1 if the
    run is not finished or not readable.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asked = PageRequest.of(overrides)
        finished_fit(asked.run, trust=asked.cfg["trust"])
        description, undescribed, title = None, "", ""
        try:
            title = asked.describe()
            description = read_description(asked.folder)
        except CellFailed as error:
            undescribed = str(error).splitlines()[0]
        tell(draw_run(asked.run, asked.say, description, undescribed), asked.run)
        if description is not None:
            print(asked.write_page(title))
    except (ConfigError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def tell(charts: Sequence[Chart], run: Path) -> None:
    """Print the path of every chart, and to stderr the reason for each that is missing."""
    for chart in charts:
        if chart.file:
            print(run / CHARTS / chart.file)
        else:
            print(f"no {chart.name}: {chart.reason}", file=sys.stderr)
