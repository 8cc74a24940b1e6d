"""Evaluation of a result by all metrics: the only list of metric names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.metrics.cooccurrence import Cooccurrence
from topiclab.metrics.documents import DOCUMENT_METRICS, SplitDocuments
from topiclab.metrics.evaluation import Evaluation
from topiclab.metrics.extra import EXTRA_NAMES, LABEL_BASELINES, Extras, extra_measures
from topiclab.metrics.rating import Rater
from topiclab.metrics.topics import TOPIC_METRICS, FittedTopics, rating_of
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.result import TopicResult

if TYPE_CHECKING:
    from topiclab.data.corpus import Corpus

SPLITS = ("train", "test")
Measure = Callable[[], float | np.ndarray]
IMAGE_METRICS = (  # see images.py
    "test/prior_ce",
    "test/prior_ce_shuffled",
    "test/prior_ce_unconditional",
    "test/prior_gap",
    "test/prior_gap_se",
    "test/bits_per_code",
    "test/mse",
    "codebook_usage",
    "codebook_perplexity",
    "sample_fidelity",
    "sample_purity",
    "sample_nmi",
)
METRICS = (*TOPIC_METRICS, *(f"{split}/{name}" for split in SPLITS for name in DOCUMENT_METRICS))
NAMES = (*METRICS, *EXTRA_NAMES, *LABEL_BASELINES)  # also of metrics.extra and mode=supervised


def evaluate(
    result: TopicResult,
    corpus: Corpus,
    *,
    cache_root: Path | None = None,
    predictions: np.ndarray | None = None,
    reference: Corpus | Cooccurrence | None = None,
    external: Mapping[int, Cooccurrence] | None = None,
    rater: Rater | None = None,
    top_n: int = 10,
    extras: Extras | None = None,
) -> Evaluation:
    """Evaluation by all METRICS and those of extras; metrics of topics leave `TopicResult.empty_topics` out.

    result: theta of all documents of corpus, in its order, including documents without a vocabulary word.
    cache_root: folder that caches the window counts across processes; None counts in memory.
    predictions: (D,) label ids of a supervised model.
    reference: corpus, or its counts, for coherence; by default all documents of corpus.
    external: counts of an external reference by window, for c_v_ref and npmi_ref.
    rater: a language model for llm_rating; its ratings are cached under cache_root.
    top_n: words per topic in coherence, td, irbo, frex and exclusivity; the td25 metrics always take 25.
    Raises ValueError if result or predictions are not over the documents of corpus.
    """
    for name, rows in (("theta", result.theta), ("predictions", predictions)):
        if rows is not None and len(rows) != corpus.num_docs:
            raise ValueError(
                f"{name} has {len(rows)} rows, but the corpus {corpus.name!r} has {corpus.num_docs} documents"
            )
    topics = FittedTopics(
        result, corpus, corpus if reference is None else reference, external or {}, rater, cache_root, top_n
    )
    measures: dict[str, Measure] = {name: partial(metric, topics) for name, metric in TOPIC_METRICS.items()}
    for split in SPLITS:
        documents = SplitDocuments(result, corpus, corpus.rows(split), predictions)
        for name, metric in DOCUMENT_METRICS.items():
            measures[f"{split}/{name}"] = partial(metric, documents) if len(documents.rows) else _no_documents
    measures |= extra_measures(topics, extras or Extras(), predictions is not None)
    return take(measures, result.empty_topics)


def evaluate_rating(result: TopicResult, rater: Rater | None, cache_root: Path | None) -> Evaluation:
    """Evaluation by llm_rating alone, which reads no documents."""
    return take({"llm_rating": partial(rating_of, result, rater, cache_root)}, result.empty_topics)


def _no_documents() -> float:
    raise UndefinedMetric("the split has no documents")


def take(measures: dict[str, Measure], empty_topics: Sequence[int] = ()) -> Evaluation:
    """Call every measure; an array holds one value per topic, and its mean is the metric.

    empty_topics: left out of the means.
    """
    metrics: dict[str, float] = {}
    reasons: dict[str, str] = {}
    per_topic: dict[str, list[float]] = {}
    unfinished: list[str] = []
    for name, measure in measures.items():
        try:
            value = measure()
            values = value if isinstance(value, np.ndarray) else None
            metrics[name] = float(np.mean(value if values is None else np.delete(values, empty_topics)))
        except UndefinedMetric as undefined:
            metrics[name], reasons[name] = float("nan"), str(undefined)
            values = undefined.per_topic
            if undefined.is_passing:
                unfinished.append(name)
        if values is not None:
            per_topic[name] = values.tolist()
    return Evaluation(metrics, reasons, per_topic, tuple(unfinished))
