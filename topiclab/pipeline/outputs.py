"""Outputs of a fit: files of the run folder, predicted labels, and the topics on the screen."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from topiclab.atomic import finite, write_json
from topiclab.csv_table import write_csv
from topiclab.data.corpus import SPLITS, Corpus
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
    """Write topics.txt: one line per topic, the largest first: number, share of documents, NPMI, words.

    A topic without documents (`TopicResult.empty_topics`) is marked as such and shows no words, since none
    of them are of a document.
    """
    share = result.theta.mean(axis=0)
    npmi = evaluation.per_topic.get("npmi") or [float("nan")] * result.num_topics
    words, empty = result.topic_words(10), set(result.empty_topics)
    lines = [
        f"{topic:3d}  {share[topic]:6.1%}       -  (no document)"
        if topic in empty
        else f"{topic:3d}  {share[topic]:6.1%}  {npmi[topic]:+.3f}  {' '.join(words[topic])}"
        for topic in np.argsort(-share)
    ]
    if empty:
        lines.append(about_empty_topics(result))
    (folder / "topics.txt").write_text(
        "topic  share   npmi  words\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    write_json(folder / "topic_metrics.json", finite(evaluation.per_topic))


def about_empty_topics(result: TopicResult) -> str:
    """Sentence that tells how many topics have no document and are left out of means."""
    empty, num_topics = len(result.empty_topics), result.num_topics
    return (
        f"{empty} of {num_topics} topics have no document; npmi, td and other metrics of topics are over the "
        f"other {num_topics - empty}"
    )


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
    names = np.array([*corpus.label_names, ""], dtype=object)  # -1, a missing label, is the last
    write_csv(
        path,
        {
            "id": corpus.ids,
            "split": np.array(SPLITS, dtype=object)[corpus.split],
            "label": names[corpus.labels],
            "predicted": names[predictions],
        },
    )
