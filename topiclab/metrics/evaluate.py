"""Every metric of one result: the only list of metric names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from topiclab.metrics import clustering, coherence, diversity, quality
from topiclab.metrics.cooccurrence import EXACT, GENSIM, Cooccurrence, cooccurrence
from topiclab.metrics.perplexity import perplexity
from topiclab.metrics.rating import Rater, llm_rating
from topiclab.metrics.retrieval import precision_at
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.result import TopicResult

if TYPE_CHECKING:
    from topiclab.data.corpus import Corpus

COHERENCES: dict[str, tuple[str, str]] = {  # name: formula and variant of the counts
    "npmi": ("npmi", EXACT),
    "c_v": ("c_v", EXACT),
    "umass": ("umass", EXACT),
    "npmi_gensim": ("npmi", GENSIM),
    "c_v_gensim": ("c_v", GENSIM),
}
EXTERNAL = {"npmi_ref": "npmi", "c_v_ref": "c_v"}  # exact counts of an external reference
TOPIC_METRICS = (
    *(*COHERENCES, *EXTERNAL, "npmi_top50", "td", "td25", "td25_top50", "tq", "tq_top50"),
    *("irbo", "frex", "exclusivity", "llm_rating"),
)
DEPTHS = {"p@1": 1, "p@5": 5, "p@10": 10}
DOCUMENT_METRICS = (
    *("purity", "inverse_purity", "purity_f", "nmi", "ari", *DEPTHS),
    *("perplexity", "accuracy", "macro_f1", "topics_used"),
)
SPLITS = ("train", "test")
Measure = Callable[[], float | np.ndarray]
IMAGE_METRICS = (  # see images.py
    *("test/prior_ce", "test/prior_ce_shuffled", "test/prior_ce_unconditional"),
    *("test/prior_gap", "test/prior_gap_se", "test/bits_per_code", "test/mse"),
    *("codebook_usage", "codebook_perplexity", "sample_fidelity", "sample_purity", "sample_nmi"),
)
METRICS = (*TOPIC_METRICS, *(f"{split}/{name}" for split in SPLITS for name in DOCUMENT_METRICS))


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
) -> dict[str, dict[str, Any]]:
    """{"metrics": {name: float}, "reasons": {name: why nan}, "per_topic": {name: K floats}} for all METRICS.

    result: theta over all documents of corpus, in its order; one without a known word counts like any other.
    cache_root: folder that keeps the window counts between processes; None counts in memory.
    predictions: (D,) label ids of a supervised model.
    reference: what coherence is counted on; by default all documents of corpus.
    external: counts of an external reference by window, for c_v_ref and npmi_ref.
    rater: a language model for llm_rating; what it rated is kept under cache_root.
    top_n: words a topic in coherence, irbo, frex and exclusivity; td and the td25 keep their 10 and 25.
    Raises ValueError when result or predictions are not over the documents of corpus.
    """
    for name, rows in (("theta", result.theta), ("predictions", predictions)):
        if rows is not None and len(rows) != corpus.num_docs:
            raise ValueError(
                f"{name} has {len(rows)} rows, but the corpus {corpus.name!r} has {corpus.num_docs} documents"
            )
    measures = _topic_measures(result, corpus if reference is None else reference, cache_root, top_n)
    for name, formula in EXTERNAL.items():
        measures[name] = partial(_external_coherence, formula, result, external or {}, top_n)
    measures["llm_rating"] = partial(_llm_rating, result, rater, cache_root)
    for split in SPLITS:
        rows = corpus.rows(split)
        for name, measure in _document_measures(result, corpus, rows, predictions).items():
            measures[f"{split}/{name}"] = measure
    return take({name: measures[name] for name in METRICS})


def _topic_measures(
    result: TopicResult, reference: Corpus | Cooccurrence, cache_root: Path | None, top_n: int
) -> dict[str, Measure]:
    measures: dict[str, Measure] = {
        name: partial(_coherence, formula, variant, result, reference, cache_root, top_n)
        for name, (formula, variant) in COHERENCES.items()
    }

    @cache
    def npmi() -> np.ndarray:
        return _coherence(*COHERENCES["npmi"], result, reference, cache_root, top_n)

    def whole_npmi() -> np.ndarray:
        try:
            return npmi()
        except UndefinedMetric as undefined:  # values of single topics are of npmi alone
            raise UndefinedMetric(str(undefined)) from undefined

    def half_diversity() -> float:
        return quality.half_diversity(whole_npmi(), _topics(result, 25))

    return measures | {
        "npmi": npmi,
        "npmi_top50": lambda: quality.half_npmi(whole_npmi()),
        "td": lambda: diversity.topic_diversity(_topics(result, 10)),
        "td25": lambda: diversity.topic_diversity(_topics(result, 25)),
        "td25_top50": half_diversity,
        "tq": lambda: whole_npmi().mean() * diversity.topic_diversity(_topics(result, 25)),
        "tq_top50": lambda: quality.half_npmi(whole_npmi()) * half_diversity(),
        "irbo": lambda: diversity.inverted_rbo(_topics(result, top_n)),
        "frex": lambda: diversity.frex(result.beta, _top_words(result, top_n)),
        "exclusivity": lambda: diversity.exclusivity(result.beta, _top_words(result, top_n)),
    }


def _coherence(
    formula: str,
    variant: str,
    result: TopicResult,
    reference: Corpus | Cooccurrence,
    cache_root: Path | None,
    top_n: int,
) -> np.ndarray:
    topics = _topics(result, top_n)
    window = coherence.WINDOWS[formula]
    if isinstance(reference, Cooccurrence):
        counts = reference
        if counts.window != window or (window is not None and counts.variant != variant):
            raise UndefinedMetric(
                f"the reference holds {counts.variant} counts over windows of {counts.window}, not "
                f"{variant} over {window}"
            )
    else:
        words = {word for topic in topics for word in topic}
        counts = cooccurrence(reference, window, variant, words=words, cache_root=cache_root)
    return _over(formula, topics, counts)


def _external_coherence(
    formula: str, result: TopicResult, external: Mapping[int, Cooccurrence], top_n: int
) -> np.ndarray:
    if not external:
        raise UndefinedMetric("no external reference is given; reference.path names one")
    counts = external.get(coherence.WINDOWS[formula] or 0)
    if counts is None:
        raise UndefinedMetric(
            f"the external reference holds counts over windows of {', '.join(map(str, external))}, not of "
            f"{coherence.WINDOWS[formula]}"
        )
    return _over(formula, _topics(result, top_n), counts)


def _over(formula: str, topics: list[list[str]], counts: Cooccurrence) -> np.ndarray:
    """The coherence of every topic; UndefinedMetric, with those of the others, where a word is absent."""
    values = getattr(coherence, formula)(topics, counts)
    if absent := counts.absent(topics):
        named = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        raise UndefinedMetric(
            f"no window of the reference corpus holds {len(absent)} top words: {named}", values
        )
    return values


def _llm_rating(result: TopicResult, rater: Rater | None, cache_root: Path | None) -> np.ndarray:
    if rater is None:
        raise UndefinedMetric("no language model rates the topics; rating=local or rating=endpoint names one")
    return llm_rating(_topics(result, rater.num_words), rater, cache_root)


def _document_measures(
    result: TopicResult, corpus: Corpus, rows: np.ndarray, predictions: np.ndarray | None
) -> dict[str, Measure]:
    """Metrics of one split, in the order of DOCUMENT_METRICS."""
    topics = result.theta[rows].argmax(axis=1)

    def against_labels(measure: Callable[..., float], guesses: np.ndarray | None) -> float:
        if corpus.labels is None:
            raise UndefinedMetric("the corpus has no labels")
        if guesses is None:
            raise UndefinedMetric("the model predicts no labels")
        return measure(corpus.labels[rows], guesses)

    @cache
    def precisions() -> dict[str, float]:
        if corpus.labels is None:
            raise UndefinedMetric("the corpus has no labels")
        candidates = corpus.rows("train")
        values = precision_at(result.theta, corpus.labels, rows, candidates, tuple(DEPTHS.values()))
        return dict(zip(DEPTHS, values.tolist(), strict=True))

    def precision(name: str) -> float:
        if np.isnan(value := precisions()[name]):
            raise UndefinedMetric(f"there are fewer than {DEPTHS[name]} other training documents with labels")
        return value

    def nats_per_token() -> float:
        if result.word_nll is None:
            raise UndefinedMetric("the model defines no likelihood of words")
        return perplexity(result.word_nll[rows], np.asarray(corpus.bow.sum(axis=1)).ravel()[rows])

    predicted = None if predictions is None else predictions[rows]
    measures: tuple[Measure, ...] = (
        partial(against_labels, clustering.purity, topics),
        partial(against_labels, clustering.inverse_purity, topics),
        partial(against_labels, clustering.purity_f, topics),
        partial(against_labels, clustering.normalized_mutual_information, topics),
        partial(against_labels, clustering.adjusted_rand_index, topics),
        *(partial(precision, name) for name in DEPTHS),
        nats_per_token,
        partial(against_labels, clustering.accuracy, predicted),
        partial(against_labels, clustering.macro_f1, predicted),
        partial(clustering.topics_used, topics),
    )
    if not len(rows):
        measures = (_no_documents,) * len(measures)
    return dict(zip(DOCUMENT_METRICS, measures, strict=True))


def _no_documents() -> float:
    raise UndefinedMetric("the split has no documents")


def _top_words(result: TopicResult, num: int) -> np.ndarray:
    ranked = np.asarray(result.top_words)
    if ranked.shape[1] < num:
        raise UndefinedMetric(f"the result ranks {ranked.shape[1]} words a topic, and {num} are asked for")
    return ranked[:, :num]


def _topics(result: TopicResult, num: int) -> list[list[str]]:
    return [[result.vocab[word] for word in words] for words in _top_words(result, num)]


def take(measures: dict[str, Measure]) -> dict[str, dict[str, Any]]:
    """Call every measure; an array holds one value a topic, and its mean is the metric."""
    metrics: dict[str, float] = {}
    reasons: dict[str, str] = {}
    per_topic: dict[str, list[float]] = {}
    for name, measure in measures.items():
        try:
            value = measure()
            values = value if isinstance(value, np.ndarray) else None
            metrics[name] = float(np.mean(value))
        except UndefinedMetric as undefined:
            metrics[name], reasons[name] = float("nan"), str(undefined)
            values = undefined.per_topic
        if values is not None:
            per_topic[name] = values.tolist()
    return {"metrics": metrics, "reasons": reasons, "per_topic": per_topic}
