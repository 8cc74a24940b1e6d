"""task=predict: topics, and labels where the run was supervised, of new documents under a finished run."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.api import load
from topiclab.data.sources import load_corpus
from topiclab.models.base import TopicModel

log = logging.getLogger(__name__)


def predict(cfg: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write theta.npy (D, K) and topics.csv (id, main topic, its share and words, predicted label)."""
    fitted = load(Path(cfg["run"]).expanduser())
    corpus = load_corpus(cfg["data"], cfg["paths"]["data"])
    theta = fitted.transform(corpus.texts)
    words = [" ".join(row) for row in fitted.topic_words(5)]
    is_supervised = isinstance(fitted.model, TopicModel) and fitted.model.classifier is not None
    labels = fitted.predict(corpus.texts) if is_supervised else [""] * corpus.num_docs
    np.save(folder / "theta.npy", theta, allow_pickle=False)
    with (folder / "topics.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "topic", "share", "words", "predicted"])
        for name, row, label in zip(corpus.ids, theta, labels, strict=True):
            topic = int(row.argmax())
            writer.writerow([name, topic, f"{row[topic]:.4f}", words[topic], label])
    log.info("%d documents: %s", corpus.num_docs, folder / "topics.csv")
    used = len(np.unique(theta.argmax(axis=1)))
    return {
        "metrics": {"topics_used": used},
        "reasons": {},
        "seconds": {},
        "manifest": {"run": str(cfg["run"])},
    }
