"""task=predict: topics, and labels where the run was supervised, of new documents under a finished run."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from topiclab.api.images import ImageTopics
from topiclab.api.topics import FittedTopics, load
from topiclab.config.configuration import Configuration
from topiclab.data.images.files import SUFFIXES
from topiclab.data.images.image_set import read_image
from topiclab.data.sources.corpora import load_texts
from topiclab.minillm.chat import ChatModel
from topiclab.pipeline.image_samples import draw_like
from topiclab.report.figures.pictures import draw_references
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)


def predict(cfg: Configuration, folder: Path) -> Outcome:
    """Write theta.npy (D, K) and topics.csv (id, main topic, its share and words, predicted label).

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
    ids, texts = load_texts(cfg.data, cfg.paths.data, cfg.paths.cache)
    embeddings = fitted.embed(texts) if fitted.reads_vectors else None
    theta = fitted.transform(texts, embeddings)
    labels = fitted.predict(texts, embeddings) if fitted.predicts_labels else [""] * len(texts)
    words = [" ".join(row) for row in fitted.topic_words(5)]
    np.save(folder / "theta.npy", theta, allow_pickle=False)
    with (folder / "topics.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "topic", "share", "words", "predicted"])
        for name, row, label in zip(ids, theta, labels, strict=True):
            topic = int(row.argmax())
            writer.writerow([name, topic, f"{row[topic]:.4f}", words[topic], label])
    log.info("%d documents: %s", len(ids), folder / "topics.csv")
    used = len(np.unique(theta.argmax(axis=1)))
    return Outcome(
        metrics={"topics_used": used},
        seconds={},
        manifest={"run": str(cfg.run)},
    )


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
    with (folder / "topics.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "topic", "share", "samples_with_it", "images_with_it"])
        for path, row, share, by_chance in zip(paths, theta, kept, chance, strict=True):
            topic = row.argmax()
            writer.writerow([path.name, topic, f"{row[topic]:.4f}", f"{share:.4f}", f"{by_chance:.4f}"])
            print(
                f"{path.name}: mainly topic {topic} ({row[topic]:.0%}), as are {share:.0%} of its samples "
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
