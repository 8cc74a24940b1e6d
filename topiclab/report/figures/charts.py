"""Charts of a finished fit as PNG: every one that its data allow, and for each other one the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from topiclab.atomic import write_json
from topiclab.report.description import Description, read_description
from topiclab.report.figures.base import document_coordinates, document_map, save_figure
from topiclab.report.figures.groups import draw_groups
from topiclab.report.figures.measures import draw_topic_metrics
from topiclab.report.figures.periods import draw_period_words, draw_shares
from topiclab.report.figures.sankey import draw_flow
from topiclab.report.figures.similarity import draw_intertopic, draw_similarity
from topiclab.report.figures.style import paper_style
from topiclab.report.figures.topic_words import draw_clouds, draw_words
from topiclab.report.figures.training import draw_training
from topiclab.report.fitted import LABEL, Fitted, NoChart, read_fitted
from topiclab.report.language import ENGLISH, Language
from topiclab.report.page.charts import CHARTS, LIST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Fitted, Language], "Figure"]


@dataclass(frozen=True)
class Chart:
    """A chart that was drawn, or the reason why not (then file is "")."""

    name: str
    title: str
    file: str = ""
    reason: str = ""


def draw_run(
    run: Path, say: Language = ENGLISH, description: Description | None = None, undescribed: str = ""
) -> list[Chart]:
    """Draw every chart of a finished fit into figures/ of its folder, and list them in figures.json.

    description: of the run; undescribed: the reason if it is None. Raises ValueError with a file that cannot
    be read, and for a description of other topics.
    """
    fitted = read_fitted(run, description, undescribed)
    if description is not None and description.num_topics != fitted.num_topics:
        raise ValueError(
            f"the description has {description.num_topics} topics, but {run} was fitted with "
            f"{fitted.num_topics}; leave describe.num_topics out"
        )
    return draw_charts(fitted, run / CHARTS, say)


def draw_standing(run: Path, say: Language = ENGLISH) -> list[Chart]:
    """`draw_run` with the description that stands in the run's folder, if any; describes nothing itself."""
    folder = run / "description"
    if (folder / "topics.json").exists():
        return draw_run(run, say, read_description(folder))
    return draw_run(run, say, undescribed="python -m topiclab.report figures run=<folder> does that")


def draw_charts(fitted: Fitted, folder: Path, say: Language = ENGLISH) -> list[Chart]:
    """Draw every chart into a folder, and list drawn and missing ones in its figures.json."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with paper_style([*fitted.texts(), *say.phrases.values()]):
        for name, title, draw in charts_of(fitted, say):
            path = folder / f"{name}.png"
            try:
                save_figure(draw(fitted, say), path)
                drawn.append(Chart(name, title, path.name))
            except NoChart as reason:
                path.unlink(missing_ok=True)
                drawn.append(Chart(name, title, reason=reason.told(say)))
    write_json(folder / LIST, {"language": say.code, "charts": [asdict(chart) for chart in drawn]})
    return drawn


def charts_of(fitted: Fitted, say: Language) -> Iterator[tuple[str, str, Draw]]:
    """File name without suffix, title and function of every chart; one for each column of categories."""
    yield "topic_words", say("Words of the topics"), draw_words
    yield "word_clouds", say("Word clouds of the topics"), draw_clouds
    yield "similarity", say("Similarity of the topics"), draw_similarity
    yield "intertopic_map", say("Intertopic map"), draw_intertopic
    yield "document_map", say("Map of the documents"), _draw_document_map
    for column in dict.fromkeys([LABEL, *fitted.groups]):
        title = say("Topics by {column}", column=say.known(column))
        yield f"topics_by_{_file_name(column)}", title, partial(_draw_groups, column)
    yield "topic_metrics", say("Metrics of the topics"), draw_topic_metrics
    yield "training", say("Losses in training"), draw_training
    yield "shares_over_time", say("Shares of the topics over time"), draw_shares
    yield "flow", say("Flow between periods"), draw_flow
    yield "words_over_time", say("Words of the topics over time"), draw_period_words


def _draw_document_map(fitted: Fitted, say: Language) -> Figure:
    rows, coordinates = document_coordinates(fitted.result.theta)
    return document_map(fitted.result, fitted.names, rows, coordinates, say)


def _draw_groups(column: str, fitted: Fitted, say: Language) -> Figure:
    return draw_groups(fitted, column, say)


def _file_name(column: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in column)
