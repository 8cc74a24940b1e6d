"""task=fit: one cell from configuration to topics, metrics and a finished run folder."""

from __future__ import annotations

import csv
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from threadpoolctl import threadpool_limits

from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.sources.corpora import load_corpus
from topiclab.embed.embedder import Embeddings, corpus_as_read, embed_corpus, embed_words
from topiclab.embed.occurrences import occurrence_vectors
from topiclab.metrics.evaluate import evaluate
from topiclab.metrics.reference import reference_counts
from topiclab.models.base.estimator import Estimator, Explained
from topiclab.models.base.topic_model import TopicModel
from topiclab.pipeline.num_topics import choose_num_topics
from topiclab.pipeline.saved_model import save_bundle
from topiclab.pipeline.wandb_log import log_results, wandb_logger
from topiclab.rate.rater import make_rater
from topiclab.result import TopicResult
from topiclab.teach.soft_labels import soft_labels
from topiclab.teach.states import teacher_states

log = logging.getLogger(__name__)


def fit(cfg: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Corpus -> embeddings -> model -> metrics -> files of the run folder; what result.json says of them."""
    if cfg["data"].get("modality") == "images":
        from topiclab.pipeline.fit_images import fit_images  # which imports from here

        return fit_images(cfg, folder)
    return fit_corpus(cfg, folder, load_corpus(cfg["data"], cfg["paths"]["data"], cfg["paths"]["cache"]))


def fit_corpus(cfg: Mapping[str, Any], folder: Path, corpus: Corpus) -> dict[str, Any]:
    """`fit` for a corpus that is at hand."""
    clock = Stages()
    check_sizes(cfg, corpus)
    cache = Path(cfg["paths"]["cache"])
    with clock("embed"):
        embeddings = document_vectors(cfg, corpus)
        datamodule = make_datamodule(cfg, corpus, embeddings)
    chosen = chosen_num_topics(cfg, corpus, embeddings, clock)
    rater = make_rater(cfg["rating"], cfg["trainer"])
    with clock("reference"):
        external = reference_counts(cfg["reference"], corpus.vocab, cfg["data"]["vocabulary"], cache)
    model = make_model(with_num_topics(cfg, chosen), datamodule)
    with limited_threads(cfg["trainer"]["num_threads"]), wandb_logger(cfg, folder) as wandb_run:
        with clock("fit"):
            loggers: list[Logger] = [] if wandb_run is None else [wandb_run]
            result = replace(model.fit(datamodule, folder, cfg["trainer"], loggers), ids=corpus.ids)
        with clock("evaluate"):
            predictions = predict_labels(model, datamodule)
            evaluation = evaluate(
                result, corpus, cache_root=cache, predictions=predictions, external=external, rater=rater
            )
        with clock("write"):
            write_topics(result, evaluation, folder)
            if isinstance(model, Explained):
                model.explain(datamodule, folder)
            if isinstance(model, TopicModel) and cfg["logger"]["name"] != "none":
                write_history(model.history, folder / "metrics.csv")
            if predictions is not None:
                write_predictions(corpus, predictions, folder / "predictions.csv")
            save_bundle(folder, model, embeddings, corpus)
            result.save(folder / "topics.npz")
            log_results(wandb_run, result, corpus, evaluation, folder)
    show(folder, evaluation["metrics"])
    manifest = {
        "corpus": {
            "fingerprint": corpus.fingerprint,
            "documents": corpus.num_docs,
            "words": corpus.num_words,
            **corpus.info,
        },
        "embedding": {**embeddings.manifest, "is_cached": embeddings.is_cached},
        "fit": result.info,
        **chosen,
    }
    return {
        "metrics": evaluation["metrics"],
        "reasons": evaluation["reasons"],
        "seconds": clock.seconds,
        "manifest": manifest,
    }


@contextmanager
def limited_threads(num_threads: int | None) -> Iterator[None]:
    """At most so many threads for a small model; embedding before it takes all that the process may use.

    None: all of them here, too.
    """
    if num_threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        with threadpool_limits(num_threads):
            yield
    finally:
        torch.set_num_threads(before)


def check_sizes(cfg: Mapping[str, Any], corpus: Corpus) -> None:
    """ValueError when the corpus is too small for the configuration."""
    rows = corpus.rows("train")
    num_train = len(rows)
    if num_train < 2:
        raise ValueError(
            f"{corpus.name} has {num_train} training document of {corpus.num_docs}, but a model needs at "
            "least 2; give more documents, or use data.split.val=0 data.split.test=0"
        )
    if not corpus.bow[rows].nnz:
        raise ValueError(
            f"no training document of {corpus.name} holds a word of the vocabulary; give more documents, or "
            "lower data.vocabulary.min_df"
        )
    if cfg["num_topics"] != "auto" and cfg["num_topics"] > num_train:
        raise ValueError(
            f"num_topics={cfg['num_topics']}, but {corpus.name} has {num_train} training documents; "
            "ask for fewer topics"
        )


def chosen_num_topics(
    cfg: Mapping[str, Any], corpus: Corpus, embeddings: Embeddings, clock: Stages
) -> dict[str, Any]:
    """{"select_k": what num_topics=auto came to and why} for the manifest; nothing for a given number."""
    if cfg["num_topics"] != "auto":
        return {}
    with clock("select_k"), limited_threads(cfg["trainer"]["num_threads"]):
        choice = choose_num_topics(cfg["select_k"], corpus, embeddings, Path(cfg["paths"]["cache"]))
    log.info("num_topics=auto: %s", choice.recommendation.reason)
    return {"select_k": choice.facts()}


def with_num_topics(cfg: Mapping[str, Any], manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration with the number that the manifest of a run tells of num_topics=auto."""
    return {**cfg, "num_topics": manifest["select_k"]["num_topics"]} if "select_k" in manifest else cfg


def document_vectors(cfg: Mapping[str, Any], corpus: Corpus) -> Embeddings:
    """What the models read of every document: the embedder's vectors, or the teacher's states."""
    cache = Path(cfg["paths"]["cache"])
    if cfg["input"] == "teacher":
        return teacher_states(cfg["teacher"], corpus, cache, cfg["trainer"])
    read = corpus_as_read(corpus, cfg["embed_text"])
    return embed_corpus(cfg["embedder"], read, cache, cfg["trainer"], adapt=cfg["mode"])


def make_datamodule(cfg: Mapping[str, Any], corpus: Corpus, embeddings: Embeddings) -> TopicDataModule:
    """Documents for the model; labels are in it only when mode=supervised."""
    is_supervised = cfg["mode"]["name"] == "supervised"
    if is_supervised and (corpus.labels is None or len(set(corpus.labels[corpus.rows("train")]) - {-1}) < 2):
        raise ValueError(
            f"mode=supervised needs training documents of at least two labels, but {corpus.name} has "
            f"{'none' if corpus.labels is None else 'fewer'}; name data.label_column or use mode=zero_shot"
        )
    cache = Path(cfg["paths"]["cache"])
    read = corpus_as_read(corpus, cfg["embed_text"])
    words = partial(embed_words, cfg["embedder"], read, cache, cfg["trainer"], adapt=cfg["mode"])
    occurrences = partial(
        occurrence_vectors,
        *(cfg["embedder"], read, cache, cfg["trainer"]),
        adapt=cfg["mode"],
        vocabulary=cfg["data"]["vocabulary"],
    )
    reads_embedder, has_teacher = cfg["input"] == "embedder", cfg["teacher"]["name"] != "none"
    return TopicDataModule(
        corpus,
        embeddings.vectors,
        shows_labels=is_supervised,
        embedding_key=embeddings.key,
        cache_root=cache,
        word_vectors=words if reads_embedder else None,
        occurrences=occurrences if reads_embedder else None,
        teach=partial(soft_labels, cfg["teacher"], trainer=cfg["trainer"]) if has_teacher else None,
    )


def make_model(cfg: Mapping[str, Any], datamodule: TopicDataModule) -> Estimator:
    sizes = {
        "num_words": datamodule.corpus.num_words,
        "embedding_dim": datamodule.embedding_dim,
        "num_classes": datamodule.num_classes,
    }
    return build_model(cfg, sizes)


def build_model(cfg: Mapping[str, Any], sizes: Mapping[str, int]) -> Estimator:
    """The unfitted estimator of a configuration; sizes: num_words, embedding_dim, num_classes, and of a model
    of images grid_shape."""
    node = {name: value for name, value in cfg["model"].items() if name not in ("name", "modality")}
    objective = instantiate({name: value for name, value in cfg["objective"].items() if name != "name"})
    if cfg["trainer"]["max_epochs"] is not None:
        node |= {"min_steps": 0} if "min_steps" in node else {}
    for name in ("max_epochs", "batch_size", "gradient_clip"):
        if cfg["trainer"][name] is not None and name in node:
            node[name] = cfg["trainer"][name]
    return instantiate(node)(
        num_topics=cfg["num_topics"],
        seed=cfg["seed"],
        objective=objective,
        class_weight=cfg["mode"]["class_weight"],
        **sizes,
    )


def predict_labels(model: Estimator, datamodule: TopicDataModule) -> np.ndarray | None:
    """Label ids (D,) of every document under a model with a classification head, else None."""
    if not isinstance(model, TopicModel) or model.classifier is None:
        return None
    classes = model.infer(model.documents_of(datamodule))[2]
    assert classes is not None
    return classes.argmax(axis=1)


def write_topics(result: TopicResult, evaluation: Mapping[str, Any], folder: Path) -> None:
    """topics.txt: one line a topic, the largest first: number, share of the documents, NPMI, words."""
    share = result.theta.mean(axis=0)
    npmi = evaluation["per_topic"].get("npmi") or [float("nan")] * result.num_topics
    words = result.topic_words(10)
    lines = [
        f"{topic:3d}  {share[topic]:6.1%}  {npmi[topic]:+.3f}  {' '.join(words[topic])}"
        for topic in np.argsort(-share)
    ]
    (folder / "topics.txt").write_text(
        "topic  share   npmi  words\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    (folder / "topic_metrics.json").write_text(json.dumps(evaluation["per_topic"]))


def write_history(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Losses of every epoch or round as a table, those before an interrupt too, which Lightning deletes."""
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
    """id, split, label, predicted label of every document."""
    assert corpus.labels is not None
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "split", "label", "predicted"])
        for row, predicted in enumerate(predictions):
            label = corpus.label_names[corpus.labels[row]] if corpus.labels[row] >= 0 else ""
            split = ("train", "val", "test")[corpus.split[row]]
            writer.writerow([corpus.ids[row], split, label, corpus.label_names[predicted]])


class Stages:
    """Wall seconds of named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
