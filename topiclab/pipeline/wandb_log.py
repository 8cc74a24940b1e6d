"""Weights & Biases beside a run folder: a mirror, never the source. Texts of documents are not sent."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topiclab.config.configuration import Configuration
from topiclab.metrics.evaluation import Evaluation
from topiclab.result import TopicResult
from topiclab.runs.wandb_login import wandb_mode

if TYPE_CHECKING:
    import numpy as np
    from lightning.pytorch.loggers import WandbLogger

    from topiclab.data.corpus import Corpus

TAGGED_GROUPS = ("data", "model", "embedder", "mode", "objective")
MAX_TAG_LETTERS = 64  # W&B refuses longer ones


@contextmanager
def wandb_logger(cfg: Configuration, folder: Path) -> Iterator[WandbLogger | None]:
    """A W&B run for one cell as Lightning's logger; None unless logger=wandb. An error closes it as failed.

    cfg: becomes the run's configuration. The run's id is kept in the folder, so that a resumed cell continues
    the same run; under `wandb agent` the agent owns the id.
    """
    if cfg.logger["name"] != "wandb":
        yield None
        return
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    mode = wandb_mode(cfg.logger["mode"])
    run_id = None if os.environ.get("WANDB_SWEEP_ID") else _kept_id(folder)
    run = wandb.init(
        project=cfg.logger["project"],
        entity=cfg.logger["entity"],
        mode=mode,
        dir=folder,
        config=cfg.plain(),
        group=cfg.name,
        job_type=cfg.task["name"],
        name="-".join([cfg.model["name"], cfg.data["name"], f"K{cfg.num_topics}", f"seed{cfg.seed}"]),
        tags=tags_of(cfg),
        id=run_id,
        resume="allow" if run_id and mode == "online" else None,
        reinit="create_new",
    )
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    exit_code = 1
    try:
        yield WandbLogger(experiment=run, save_dir=folder)
        exit_code = 0
    finally:
        run.finish(exit_code=exit_code)


def tags_of(cfg: Configuration) -> list[str]:
    """The chosen option of each group that makes a cell, then the tags of logger.tags, each once."""
    chosen = [str(getattr(cfg, group)["name"]) for group in TAGGED_GROUPS]
    return [tag[:MAX_TAG_LETTERS] for tag in dict.fromkeys([*chosen, *cfg.logger["tags"]])]


def log_results(
    logger: WandbLogger | None,
    result: TopicResult,
    corpus: Corpus,
    evaluation: Evaluation,
    folder: Path,
) -> None:
    """Log metrics, the table of topics and the document map of a fitted cell; nothing without a logger.

    Metrics become the run's summary, those of topics in section topics/, those of documents in train/ and
    test/; metrics that do not apply are left out.
    """
    if logger is None:
        return
    import wandb

    from topiclab.report.figures.base import document_coordinates, draw_document_map

    rows, coordinates = document_coordinates(result.theta)
    topics = wandb.Table(columns=["topic", "share", "words", "npmi"])
    for topic in topic_rows(result, evaluation):
        topics.add_data(*topic)
    documents = wandb.Table(columns=["id", "x", "y", "topic", "label"])
    for document in document_rows(result, corpus, rows, coordinates):
        documents.add_data(*document)
    run = logger.experiment
    drawn = wandb.Image(str(draw_document_map(folder, result, rows, coordinates)))
    run.log({"topics/table": topics, "documents/table": documents, "documents/map": drawn})
    for name, value in evaluation.metrics.items():
        if value is not None and math.isfinite(value):
            run.summary[name if "/" in name else f"topics/{name}"] = value


def log_pictures(logger: WandbLogger | None, paths: Sequence[Path]) -> None:
    """Log PNG files as pictures/<name>; nothing without a logger."""
    if logger is None:
        return
    import wandb

    logger.experiment.log({f"pictures/{path.stem}": wandb.Image(str(path)) for path in paths})


def topic_rows(result: TopicResult, evaluation: Evaluation) -> list[list[Any]]:
    """Row per topic: number, mean share of documents, ten words, and NPMI (None where it is undefined)."""
    npmi = evaluation.per_topic.get("npmi") or [None] * result.num_topics
    shares = result.theta.mean(axis=0).tolist()
    return [
        [topic, share, " ".join(words), None if score is None or math.isnan(score) else float(score)]
        for topic, (share, words, score) in enumerate(zip(shares, result.topic_words(10), npmi, strict=True))
    ]


def document_rows(
    result: TopicResult, corpus: Corpus, rows: np.ndarray, coordinates: np.ndarray
) -> list[list[Any]]:
    """Row per document of the map: id, coordinates, main topic and label (None where it has none)."""
    labels = [None if corpus.labels is None else int(corpus.labels[row]) for row in rows]
    names = [corpus.label_names[label] if label is not None and label >= 0 else None for label in labels]
    topics = result.theta[rows].argmax(axis=1).tolist()
    places = coordinates.tolist()
    return [
        [corpus.ids[row], *place, topic, name]
        for row, place, topic, name in zip(rows, places, topics, names, strict=True)
    ]


def _kept_id(folder: Path) -> str:
    """The run id in folder/wandb_id.txt, made on the first call."""
    path = folder / "wandb_id.txt"
    if not path.exists():
        path.write_text(secrets.token_hex(4))
    return path.read_text()
