"""task=predict: topics, and labels where the run was supervised, of new documents under a finished run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from topiclab.api.images import ImageTopics
from topiclab.api.topics import FittedTopics, load
from topiclab.config.configuration import Configuration
from topiclab.csv_table import write_csv
from topiclab.data.documents import Document, covariates_of, dates_of, index_labels
from topiclab.data.dropped import UNSAMPLED
from topiclab.data.images.files import SUFFIXES
from topiclab.data.images.image_set import read_image
from topiclab.data.missing import missing_values
from topiclab.data.sources.corpora import load_documents
from topiclab.minillm.chat import ChatModel
from topiclab.pipeline.document_table import document_table, write_documents
from topiclab.pipeline.image_samples import draw_like
from topiclab.report.figures.pictures import draw_references
from topiclab.result import main_topics
from topiclab.runs.outcome import Outcome
from topiclab.settings import Selection

log = logging.getLogger(__name__)


def predict(cfg: Configuration, folder: Path) -> Outcome:
    """Write theta.npy, topics.csv, and documents.csv and documents.parquet as a fit does.

    All have one row for each record of the source, in its order, the first two without those outside
    data.sample. theta.npy: (N, K), NaN for a dropped record.
    topics.csv: row, id, main topic, its share and words, predicted label, reason of a dropped record.
    For a run on images see `predict_images`.
    Raises ValueError for a reference image beside a run on texts, and for a language model.
    """
    fitted = load(cfg.run_folder, cfg.trainer.device, trust=cfg.trust)
    if isinstance(fitted, ChatModel):
        raise ValueError(f"run={cfg.run} is a language model, which has no topics; use task=chat")
    if not isinstance(fitted, FittedTopics):
        return predict_images(cfg, folder, fitted)
    if cfg.reference:
        raise ValueError(
            f"reference={cfg.reference} is for a run on images, but run={cfg.run} is on texts; "
            "name documents with data="
        )
    documents, dropped = load_documents(cfg.data, cfg.paths.data, cfg.paths.cache)
    texts = [document.text for document in documents]
    embeddings = fitted.embed(texts) if fitted.reads_vectors else None
    like = fitted.model.known_covariates
    covariates = None if like is None else covariates_of(documents, Selection.of(cfg.data), like)
    dates = dates_of(documents, Selection.of(cfg.data)) if fitted.model.reads_timestamps else None
    times = None if dates is None else dates.times
    theta = fitted.transform(texts, embeddings, covariates=covariates, timestamps=times)
    labels = fitted.predict(texts, embeddings, timestamps=times) if fitted.predicts_labels else None
    rows = np.array([document.row for document in documents], np.int64)
    table = document_table(
        rows,
        [str(document.id) for document in documents],
        dropped,
        theta,
        fitted.known_words(texts),
        label=own_labels(documents, missing_values(Selection.of(cfg.data).missing)),
        predicted=None if labels is None else pa.array(labels, pa.string()),
    )
    write_documents(table, folder)
    table = table.filter(pa.array(table["dropped"].to_numpy() != UNSAMPLED))  # never asked for
    of_all = np.full((len(table), theta.shape[1]), np.nan, np.float32)
    of_all[table["dropped"].is_null().to_numpy()] = theta
    np.save(folder / "theta.npy", of_all, allow_pickle=False)
    words = pa.array([" ".join(row) for row in fitted.topic_words(5)], pa.string())
    told = table.select(["row", "id", "topic", "share", "predicted", "dropped"])
    write_csv(folder / "topics.csv", told.add_column(4, "words", words.take(table["topic"].combine_chunks())))
    if dropped:
        log.info("%s: %s", cfg.data["name"], dropped.message(len(documents) + len(dropped)))
    log.info("%d documents: %s", len(documents), folder / "topics.csv")
    main = main_topics(theta)
    return Outcome(
        metrics={"topics_used": len(np.unique(main[main >= 0]))},
        seconds={},
        manifest={"run": str(cfg.run), "documents": len(documents), "dropped": dropped.counts()},
    )


def own_labels(documents: Sequence[Document], missing: frozenset[str]) -> pa.Array:
    """Labels that the documents have themselves, null where there is none."""
    labels, names = index_labels([document.label for document in documents], missing)
    if labels is None:
        return pa.nulls(len(documents), pa.string())
    return pa.array(names, pa.string()).take(pa.array(labels, mask=labels < 0))


def predict_images(cfg: Configuration, folder: Path, fitted: ImageTopics) -> Outcome:
    """Write theta.npy (r, K), sample_theta.npy (r, num_samples, K), topics.csv and references.png.

    Raises ValueError without reference images, or where one cannot be read.
    """
    paths = reference_paths(cfg)
    crop = fitted.config["data"].get("crop")
    images = np.stack([read_image(path, fitted.model.image_shape, crop) for path in paths])
    theta = fitted.transform(images)
    drawn = draw_like(fitted.model, theta, cfg.own["num_samples"], cfg.seed)
    drawn_theta = fitted.transform(drawn.reshape(-1, *images.shape[1:]))
    drawn_theta = drawn_theta.reshape(len(paths), -1, theta.shape[1])
    np.save(folder / "theta.npy", theta, allow_pickle=False)
    np.save(folder / "sample_theta.npy", drawn_theta, allow_pickle=False)
    main, of_run = theta.argmax(axis=1), fitted.result.theta.argmax(axis=1)
    kept = (drawn_theta.argmax(axis=2) == main[:, None]).mean(axis=1)
    chance = (of_run == main[:, None]).mean(axis=1)
    write_references(paths, theta, kept, chance, folder)
    captions = [f"{path.name}\ntopic {topic}" for path, topic in zip(paths, main, strict=True)]
    log.info("%d references: %s", len(paths), draw_references(images, drawn, folder, captions))
    return Outcome(
        metrics={"sample_fidelity": kept.mean(), "topics_used": len(np.unique(main))},
        seconds={},
        manifest={
            "run": str(cfg.run),
            "references": [str(path) for path in paths],
            "chance": chance.mean(),
        },
    )


def write_references(
    paths: Sequence[Path], theta: np.ndarray, kept: np.ndarray, chance: np.ndarray, folder: Path
) -> None:
    """Write topics.csv and print the same in words: main topic and its share for each reference.

    theta: (r, K).  kept, chance: (r,) the share of a reference's samples, and of the run's images, that have
    its main topic.
    """
    main = theta.argmax(axis=1)
    shares = theta[np.arange(len(theta)), main]
    names = [path.name for path in paths]
    write_csv(
        folder / "topics.csv",
        {"id": names, "topic": main, "share": shares, "samples_with_it": kept, "images_with_it": chance},
    )
    for name, topic, share, own, by_chance in zip(names, main, shares, kept, chance, strict=True):
        print(
            f"{name}: mainly topic {topic} ({share:.0%}), as are {own:.0%} of its samples "
            f"and {by_chance:.0%} of the images of the run"
        )


def reference_paths(cfg: Configuration) -> list[Path]:
    """The image cfg.reference, or the images of that folder, sorted by name."""
    if not cfg.reference:
        raise ValueError(f"run={cfg.run} is on images; add reference=<an image, or a folder of them>")
    path = Path(cfg.reference).expanduser()
    if not path.is_dir():
        return [path]
    paths = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"reference={path}: no image in that folder; use {' '.join(SUFFIXES)}")
    return paths
