"""Weights & Biases beside a run folder: a mirror, never the source. Texts of documents are not sent."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topiclab.config.configuration import Configuration
from topiclab.metrics.evaluation import Evaluation
from topiclab.pipeline.saved_model import ADAPTER, EMBEDDER, FACTS, MODEL
from topiclab.report.figures.base import document_coordinates, draw_document_map
from topiclab.report.figures.training import save_training
from topiclab.result import TopicResult
from topiclab.runs.wandb_login import wandb_mode

if TYPE_CHECKING:
    import numpy as np
    from lightning.pytorch.loggers import Logger, WandbLogger

    from topiclab.data.corpus import Corpus

TAGGED_GROUPS = ("data", "model", "embedder", "mode", "objective")
MAX_TAG_LETTERS = 64  # W&B refuses longer ones
STEP = "trainer/global_step"  # the step axis of everything logged without one of its own
RUN_ID = "wandb_id.txt"
ARTIFACTS = "artifacts"  # kinds of files that are sent, a key of the configuration in W&B


@contextmanager
def wandb_logger(
    cfg: Configuration, folder: Path, described: Configuration | None = None
) -> Iterator[WandbLogger | None]:
    """A W&B run for one cell as Lightning's logger; None unless logger=wandb. An error closes it as failed.

    cfg: becomes the run's configuration. The run's id is kept in the folder, so that a resumed cell continues
    the same run; under `wandb agent` the agent owns the id.
    described: configuration of the finished fit that the cell is about, which names and tags the run.
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
        # an agent of a sweep puts the word wandb in the place of the group logger
        config={**cfg.plain(), ARTIFACTS: list(cfg.logger.get("artifacts", ()))},
        group=cfg.name,
        job_type=cfg.task["name"],
        name=name_of(cfg, described or cfg),
        tags=tags_of(cfg, described or cfg),
        id=run_id,
        resume="allow" if run_id and mode == "online" else None,
        reinit="create_new",
    )
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    exit_code = 1
    try:
        yield WandbLogger(experiment=run, save_dir=folder)
        exit_code = 0
    finally:
        run.finish(exit_code=exit_code)


def loggers_of(logger: WandbLogger | None) -> list[Logger]:
    """The loggers of a Lightning trainer."""
    return [] if logger is None else [logger]


def name_of(cfg: Configuration, named: Configuration) -> str:
    """Name of a run: its task unless that is fit, then what the task reads of model, data, K and seed."""
    keys = named.task.get("keys")
    parts = {
        "model": named.model["name"],
        "data": named.data["name"],
        "num_topics": f"K{named.num_topics}",
        "seed": f"seed{named.seed}",
    }
    task = [] if cfg.task["name"] == "fit" else [cfg.task["name"]]
    return "-".join([*task, *(str(part) for key, part in parts.items() if keys is None or key in keys)])


def tags_of(cfg: Configuration, named: Configuration) -> list[str]:
    """The chosen option of each group that the task reads, then the tags of logger.tags, each once."""
    keys = named.task.get("keys")
    chosen = [str(getattr(named, group)["name"]) for group in TAGGED_GROUPS if keys is None or group in keys]
    return [tag[:MAX_TAG_LETTERS] for tag in dict.fromkeys([*chosen, *cfg.logger["tags"]])]


def log_summary(logger: WandbLogger | None, metrics: Mapping[str, float | None], section: str) -> None:
    """Log metrics as the run's summary, those without a section of their own in `section`.

    Metrics that are not defined are left out.
    """
    if logger is None:
        return
    for name, value in metrics.items():
        if value is not None and math.isfinite(value):
            logger.experiment.summary[name if "/" in name else f"{section}/{name}"] = value


def log_curve(
    logger: WandbLogger | None, section: str, history: Iterable[Mapping[str, float]], step: str
) -> None:
    """Log a row of <section>/<name> for every entry of a history, over its own step axis <section>/<step>."""
    if logger is None:
        return
    run = logger.experiment
    defined: set[str] = set()
    for entry in history:
        row = {f"{section}/{name}": value for name, value in entry.items()}
        for name in row.keys() - defined:
            is_axis = name == f"{section}/{step}"
            run.define_metric(name, step_metric=None if is_axis else f"{section}/{step}")
        defined |= row.keys()
        run.log(row)


def log_table(
    logger: WandbLogger | None, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Log a table; nothing without a logger."""
    if logger is None:
        return
    import wandb

    logger.experiment.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})


def log_pictures(logger: WandbLogger | None, paths: Sequence[Path]) -> None:
    """Log PNG files as pictures/<name>; nothing without a logger."""
    if logger is None or not paths:
        return
    import wandb

    logger.experiment.log({f"pictures/{path.stem}": wandb.Image(str(path)) for path in paths})


def log_figures(logger: WandbLogger | None, paths: Sequence[Path]) -> None:
    """Log PNG files as pictures/<name>, and as the artifact figures."""
    log_pictures(logger, paths)
    log_files(logger, "figures", paths)


def log_files(logger: WandbLogger | None, kind: str, paths: Iterable[Path]) -> bool:
    """Log the files and folders that exist as the artifact <kind>-<id of the run>; return whether it was.

    kind: figures, page or model; nothing is sent of one that logger.artifacts lacks.
    """
    if logger is None or kind not in logger.experiment.config[ARTIFACTS]:
        return False
    import wandb

    artifact = wandb.Artifact(f"{kind}-{logger.experiment.id}", type=kind)
    for path in paths:
        if path.is_dir():
            artifact.add_dir(str(path), name=path.name, policy="immutable")
        elif path.is_file():
            artifact.add_file(str(path), name=path.name, policy="immutable")
    logger.experiment.log_artifact(artifact)
    return True


def model_files(folder: Path) -> list[Path]:
    """Files of a fit that topiclab.load and task=predict need, as far as the fit has them."""
    names = (MODEL, EMBEDDER, FACTS, ADAPTER, "autoencoder.safetensors", "topics.npz")
    return [folder / name for name in names]


def log_results(
    logger: WandbLogger | None,
    result: TopicResult,
    corpus: Corpus,
    evaluation: Evaluation,
    folder: Path,
    pictures: Sequence[Path] = (),
) -> None:
    """Log metrics, the table of topics, the document map and the files of a fitted cell.

    Metrics become the run's summary, those of topics in section topics/, those of documents in train/ and
    test/; metrics that do not apply are left out.  pictures: further PNG files of the cell.
    Does nothing without a logger.
    """
    if logger is None:
        return
    import wandb

    rows, coordinates = document_coordinates(result.theta)
    log_table(logger, "topics/table", ("topic", "share", "words", "npmi"), topic_rows(result, evaluation))
    documents = document_rows(result, corpus, rows, coordinates)
    log_table(logger, "documents/table", ("id", "x", "y", "topic", "label"), documents)
    drawn = draw_document_map(folder, result, rows, coordinates)
    logger.experiment.log({"documents/map": wandb.Image(str(drawn))})
    if (training := save_training(folder)) is not None:
        pictures = [*pictures, training]
    log_pictures(logger, pictures)
    log_files(logger, "figures", [drawn, *pictures])
    log_files(logger, "model", model_files(folder))
    log_summary(logger, evaluation.metrics, "topics")


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
    path = folder / RUN_ID
    if not path.exists():
        path.write_text(secrets.token_hex(4))
    return path.read_text()
