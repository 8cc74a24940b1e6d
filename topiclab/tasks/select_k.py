"""task=select_k: the number of topics of a corpus, from clusterings of its document vectors."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from topiclab.config.configuration import Configuration
from topiclab.data.sources.corpora import load_corpus
from topiclab.describe.files import write_json
from topiclab.metrics.num_topics import CRITERIA
from topiclab.pipeline.inputs import document_vectors
from topiclab.pipeline.num_topics import Choice, choose_num_topics
from topiclab.pipeline.stages import Stages, limited_threads
from topiclab.pipeline.wandb_log import log_curve, log_figures, log_summary, wandb_logger
from topiclab.report.figures.selection import draw_selection
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)


def select_k(cfg: Configuration, folder: Path) -> Outcome:
    """Compare the candidates; write select_k.csv, select_k.png and select_k.json, and print the table.

    The metrics are those of the recommended number. See `choose_num_topics`.
    """
    clock = Stages()
    corpus = load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache)
    with clock("embed"):
        embeddings = document_vectors(cfg, corpus)
    with wandb_logger(cfg, folder) as wandb_run:
        with clock("select_k"), limited_threads(cfg.trainer.num_threads):
            choice = choose_num_topics(cfg.comparison, corpus, embeddings, cfg.paths.cache)
        metrics = metrics_of(choice)
        with clock("write"):
            write_candidates(choice, folder / "select_k.csv")
            facts = choice.facts()
            write_json(folder / "select_k.json", facts)
            drawn = draw_selection(folder)
            log_curve(wandb_run, "select_k", rows_of(choice), "num_topics")
            log_figures(wandb_run, [drawn])
            log_summary(wandb_run, metrics, "chosen")
    print(table_text(choice))
    log.info("%s", choice.recommendation.reason)
    print(f"run folder: {folder}")
    return Outcome(
        metrics=metrics,
        seconds=clock.seconds,
        manifest={
            "select_k": facts,
            "embedding": {**embeddings.manifest, "is_cached": embeddings.is_cached},
        },
    )


def metrics_of(choice: Choice) -> dict[str, float]:
    """The recommended number of topics, and its criteria."""
    chosen = list(choice.candidates.num_topics).index(choice.recommendation.num_topics)
    values = {name: float(column[chosen]) for name, column in choice.candidates.values.items()}
    return {"num_topics": choice.recommendation.num_topics, **values}


def rows_of(choice: Choice) -> list[dict[str, float]]:
    """Criteria and mean rank of every candidate."""
    columns = choice.facts()["candidates"]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def write_candidates(choice: Choice, path: Path) -> None:
    """Write a row per candidate: criteria with their standard deviation over seeds, elbow and mean rank."""
    compared, found = choice.candidates, choice.recommendation
    columns = {"num_topics": compared.num_topics}
    for name, values in compared.values.items():
        columns |= {name: values.round(6), f"{name}_std": compared.stds[name].round(6)}
    columns |= {"bend": found.bends.round(6), "mean_rank": found.mean_ranks.round(3)}
    columns["is_recommended"] = (compared.num_topics == found.num_topics).astype(int)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def table_text(choice: Choice) -> str:
    """The table for a terminal; * marks what a criterion alone would choose, < the recommendation."""
    compared, found = choice.candidates, choice.recommendation
    lines = [f"{'topics':>6}" + "".join(f"{name:>14}" for name in (*CRITERIA, "inertia", "mean rank"))]
    for place, number in enumerate(compared.num_topics):
        marks = [
            f"{compared.values[name][place]:.3f}{'*' if found.best.get(name) == number else ' '}"
            for name in CRITERIA
        ]
        marks.append(f"{compared.values['inertia'][place]:.1f}{'*' if found.elbow == number else ' '}")
        marks.append(f"{found.mean_ranks[place]:.2f}{'<' if number == found.num_topics else ' '}")
        lines.append(f"{number:>6}" + "".join(f"{mark:>14}" for mark in marks))
    return "\n".join(lines)
