"""task=predict: topics, and labels where the run was supervised, of new documents under a finished run."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.api.topics import FittedTopics, load
from topiclab.data.sources.corpora import load_texts
from topiclab.minillm.chat import ChatModel

log = logging.getLogger(__name__)


def predict(cfg: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write theta.npy (D, K) and topics.csv (id, main topic, its share and words, predicted label).

    Of a run on images see `predict_images`.
    Raises ValueError for a reference image beside a run on texts, and for a language model.
    """
    fitted = load(Path(cfg["run"]).expanduser(), cfg["trainer"]["device"])
    if isinstance(fitted, ChatModel):
        raise ValueError(f"run={cfg['run']} is a language model, which has no topics; use task=chat")
    if not isinstance(fitted, FittedTopics):
        from topiclab.tasks.predict_images import predict_images

        return predict_images(cfg, folder, fitted)
    if cfg["reference"]:
        raise ValueError(
            f"reference={cfg['reference']} is for a run on images, but run={cfg['run']} is of texts; "
            "name documents with data="
        )
    ids, texts = load_texts(cfg["data"], cfg["paths"]["data"], cfg["paths"]["cache"])
    embeddings = fitted.embed(texts)
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
    return {
        "metrics": {"topics_used": used},
        "reasons": {},
        "seconds": {},
        "manifest": {"run": str(cfg["run"])},
    }
