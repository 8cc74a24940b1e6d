"""Outputs of a fit: files of the run folder, predicted labels, and the topics on the screen."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from topiclab.atomic import finite, write_json
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.metrics.evaluation import Evaluation
from topiclab.models.base.estimator import Estimator
from topiclab.models.base.topic_model import TopicModel
from topiclab.result import TopicResult


def predict_labels(model: Estimator, datamodule: TopicDataModule) -> np.ndarray | None:
    """Predicted label ids (D,) of all documents; None for a model without a classification head."""
    if not isinstance(model, TopicModel) or model.classifier is None:
        return None
    classes = model.infer(model.documents_of(datamodule))[2]
    assert classes is not None
    return classes.argmax(axis=1)


def write_topics(result: TopicResult, evaluation: Evaluation, folder: Path) -> None:
    """Write topics.txt: one line per topic, the largest first: number, share of documents, NPMI, words."""
    share = result.theta.mean(axis=0)
    npmi = evaluation.per_topic.get("npmi") or [float("nan")] * result.num_topics
    words = result.topic_words(10)
    lines = [
        f"{topic:3d}  {share[topic]:6.1%}  {npmi[topic]:+.3f}  {' '.join(words[topic])}"
        for topic in np.argsort(-share)
    ]
    (folder / "topics.txt").write_text(
        "topic  share   npmi  words\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    write_json(folder / "topic_metrics.json", finite(evaluation.per_topic))


def write_history(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write a table of losses per epoch or round, also those before an interrupt, which Lightning deletes."""
    names = {name for entry in history for name in entry}
    first = [name for name in ("epoch", "step") if name in names]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*first, *sorted(names - set(first))])
        writer.writeheader()
        writer.writerows(history)


def show(folder: Path, metrics: Mapping[str, float]) -> None:
    """Print the topics, the metrics that are defined and the folder."""
    print((folder / "topics.txt").read_text(encoding="utf-8"))
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items() if np.isfinite(value)))
    print(f"run folder: {folder}")


def write_predictions(corpus: Corpus, predictions: np.ndarray, path: Path) -> None:
    """Write id, split, label and predicted label of every document."""
    assert corpus.labels is not None
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "split", "label", "predicted"])
        for row, predicted in enumerate(predictions):
            label = corpus.label_names[corpus.labels[row]] if corpus.labels[row] >= 0 else ""
            split = ("train", "val", "test")[corpus.split[row]]
            writer.writerow([corpus.ids[row], split, label, corpus.label_names[predicted]])
