"""Fits of a corpus of texts: embeddings, model, metrics and files of the run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from topiclab.config.configuration import Configuration
from topiclab.config.declared import reads_vectors
from topiclab.data.corpus import Corpus
from topiclab.embed.embedder import Embeddings
from topiclab.metrics.evaluate import evaluate
from topiclab.metrics.reference import reference_counts
from topiclab.models.base.estimator import Coded, Explained
from topiclab.models.base.topic_model import TopicModel
from topiclab.pipeline.build import make_model, with_num_topics
from topiclab.pipeline.document_table import corpus_table, write_covariates, write_documents
from topiclab.pipeline.inputs import (
    advice_on_topics,
    asked_metrics,
    check_language_models,
    check_sizes,
    document_vectors,
    make_datamodule,
    unread_documents,
    with_unread,
)
from topiclab.pipeline.num_topics import choose_num_topics
from topiclab.pipeline.outputs import (
    about_empty_topics,
    predict_labels,
    show,
    write_history,
    write_predictions,
    write_topics,
)
from topiclab.pipeline.saved_model import save_model
from topiclab.pipeline.stages import Stages, limited_threads
from topiclab.pipeline.wandb_log import log_curve, log_results, loggers_of, wandb_logger
from topiclab.rate.rater import make_rater
from topiclab.result import TopicResult
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)


def fit_corpus(cfg: Configuration, folder: Path, corpus: Corpus) -> Outcome:
    """Fit a corpus that is already loaded: embeddings, model, metrics and the files in folder."""
    clock = Stages()
    check_sizes(cfg.num_topics, corpus)
    check_language_models(cfg)
    cache = cfg.paths.cache
    with clock("embed"):
        embeddings = document_vectors(cfg, corpus) if reads_vectors(cfg.plain()) else None
        datamodule = make_datamodule(cfg, corpus, embeddings)
    chosen = chosen_num_topics(cfg, corpus, embeddings, clock)
    rater = make_rater(cfg.rating, cfg.trainer)
    with clock("reference"):
        external = reference_counts(cfg.reference, corpus.vocab, cfg.vocabulary, cache)
    model = make_model(with_num_topics(cfg, chosen), datamodule)
    with limited_threads(cfg.trainer.num_threads), wandb_logger(cfg, folder) as wandb_run:
        with clock("fit"):
            result = model.fit(datamodule, folder, cfg.trainer, loggers_of(wandb_run))
            is_unread = unread_documents(cfg, corpus.bow, datamodule.embeddings)
            result = replace(result, theta=with_unread(result.theta, is_unread), ids=corpus.ids)
        with clock("evaluate"):
            predictions = predict_labels(model, datamodule)
            evaluation = evaluate(
                result,
                corpus,
                cache_root=cache,
                predictions=predictions,
                external=external,
                rater=rater,
                **asked_metrics(cfg, datamodule),
            )
        with clock("write"):
            write_topics(result, evaluation, folder)
            if isinstance(model, Explained):
                model.explain(datamodule, folder)
            if isinstance(model, TopicModel) and cfg.logger["name"] != "none":
                write_history(model.history, folder / "metrics.csv")
            if predictions is not None:
                write_predictions(corpus, predictions, folder / "predictions.csv")
            write_documents(corpus_table(corpus, result.theta, predictions), folder)
            write_covariates(corpus, folder)
            save_model(folder, model, embeddings, corpus)
            result.save(folder / "topics.npz")
            if isinstance(model, Coded):
                log_curve(wandb_run, "codebook", model.codebook_history, "epoch")
            log_results(wandb_run, result, corpus, evaluation, folder)
    report_documents(corpus, result, evaluation.metrics)
    show(folder, evaluation.metrics)
    return Outcome(
        metrics=evaluation.metrics,
        reasons=evaluation.reasons,
        seconds=clock.seconds,
        manifest={
            **facts_of_inputs(corpus, embeddings),
            **facts_of_topics(result, model.readout),
            **chosen,
        },
        unfinished=evaluation.unfinished,
    )


def facts_of_topics(result: TopicResult, readout: str) -> dict[str, Any]:
    """Facts about the fitted topics, for the manifest."""
    return {
        "fit": result.info,
        "readout": readout,
        "empty_topics": result.empty_topics,
        "topics_in_means": result.num_topics - len(result.empty_topics),
    }


def facts_of_inputs(corpus: Corpus, embeddings: Embeddings | None) -> dict[str, Any]:
    """Facts about the corpus and its vectors, for the manifest."""
    counts = {"documents": corpus.num_docs, "words": corpus.num_words}
    return {
        "corpus": {"fingerprint": corpus.fingerprint, **counts, **corpus.info},
        "embedding": embeddings and {**embeddings.manifest, "is_cached": embeddings.is_cached},
    }


def report_documents(corpus: Corpus, result: TopicResult, metrics: Mapping[str, float]) -> None:
    """Log records that were dropped, documents without a known word, and topics without documents.

    A supervised model's accuracy is logged beside those of its baselines.
    """
    if "test/accuracy_majority" in metrics:
        log.info(
            "accuracy on test documents: %.3f; a linear probe on the same vectors: %.3f; the most frequent "
            "label: %.3f",
            *(metrics[f"test/accuracy{kind}"] for kind in ("", "_vectors", "_majority")),
        )
    if dropped := corpus.dropped:
        log.info("%s: %s", corpus.name, dropped.message(corpus.num_docs + len(dropped)))
    if wordless := int((corpus.known_words == 0).sum()):
        log.info(
            "%s: %d of %d documents hold no word of the vocabulary, and %d documents have no main topic",
            corpus.name,
            wordless,
            corpus.num_docs,
            int((result.main_topics < 0).sum()),
        )
    if result.empty_topics:
        log.warning("%s: %s", about_empty_topics(result), ", ".join(map(str, result.empty_topics)))


def chosen_num_topics(
    cfg: Configuration, corpus: Corpus, embeddings: Embeddings | None, clock: Stages
) -> dict[str, Any]:
    """{"select_k": the chosen K and the reason} for the manifest; {} unless num_topics=auto."""
    if cfg.num_topics != "auto":
        advice = advice_on_topics(cfg.num_topics, corpus.num_docs)
        if advice and not cfg.model.get("finds_num_topics"):
            log.warning("%s", advice)
        return {}
    assert embeddings is not None
    with clock("select_k"), limited_threads(cfg.trainer.num_threads):
        choice = choose_num_topics(cfg.comparison, corpus, embeddings, cfg.paths.cache)
    log.info("num_topics=auto: %s", choice.recommendation.reason)
    return {"select_k": choice.facts()}
