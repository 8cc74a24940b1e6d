"""Metrics of topics, by name, from the words of fitted topics and, for most, counts of a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from topiclab.metrics import coherence, diversity, quality
from topiclab.metrics.cooccurrence import EXACT, GENSIM, Cooccurrence, cooccurrence
from topiclab.metrics.rating import Rater, llm_rating
from topiclab.metrics.readout import beta_words, usage_words
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.result import TopicResult

if TYPE_CHECKING:
    from topiclab.data.corpus import Corpus

Coherence = Callable[[coherence.Topics, Cooccurrence], np.ndarray]


@dataclass(frozen=True)
class FittedTopics:
    """Topics of a result and the data to evaluate them with; see `evaluate` for the fields.

    Metrics read the words of the model's own read-out (`ranked`), except for those named after another one.
    """

    result: TopicResult
    corpus: Corpus
    reference: Corpus | Cooccurrence
    external: Mapping[int, Cooccurrence]
    rater: Rater | None
    cache_root: Path | None
    top_n: int

    def ranked(self, num: int) -> np.ndarray:
        """Ids (K, num) of the first words of every topic."""
        return enough(np.asarray(self.result.top_words), num)

    def words(self, num: int) -> list[list[str]]:
        """First words of every topic."""
        return self.named(self.ranked(num))

    def words_by_usage(self, num: int) -> list[list[str]]:
        """First words of every topic by usage in the training documents."""
        return self.named(enough(self.ranked_by_usage, num))

    def words_by_beta(self, num: int) -> list[list[str]]:
        """First words of every topic by beta."""
        return self.named(enough(beta_words(self.result, num), num))

    def named(self, ranked: np.ndarray) -> list[list[str]]:
        return [[self.result.vocab[word] for word in words] for words in ranked]

    @cached_property
    def ranked_by_usage(self) -> np.ndarray:
        """Ids of the first words by usage, as many as any metric of them reads."""
        return usage_words(self.result, self.corpus.rows("train"), self.corpus.bow, self.top_n)

    @cached_property
    def filled(self) -> list[int]:
        """Topics with documents, over which metrics of all topics are."""
        empty = set(self.result.empty_topics)
        return [topic for topic in range(self.result.num_topics) if topic not in empty]

    def filled_words(self, num: int) -> list[list[str]]:
        """First words of the topics with documents."""
        return self.of_filled(self.words(num))

    def of_filled(self, words: list[list[str]]) -> list[list[str]]:
        """Words of the topics with documents, from those of every topic."""
        return [words[topic] for topic in self.filled]

    @cached_property
    def npmi(self) -> np.ndarray:
        return reference_coherence(coherence.npmi, EXACT, self)

    @property
    def whole_npmi(self) -> np.ndarray:
        """NPMI of `filled`, for metrics over all: if it is undefined, values of single topics are dropped."""
        try:
            return self.npmi[self.filled]
        except UndefinedMetric as undefined:
            raise UndefinedMetric(str(undefined)) from undefined


def enough(ranked: np.ndarray, num: int) -> np.ndarray:
    """The first num columns of ranked word ids (K, T); UndefinedMetric if T is less."""
    if ranked.shape[1] < num:
        raise UndefinedMetric(f"the result ranks {ranked.shape[1]} words per topic, but {num} are needed")
    return ranked[:, :num]


def reference_coherence(
    formula: Coherence, variant: str, topics: FittedTopics, words: list[list[str]] | None = None
) -> np.ndarray:
    """Coherence (K,) on the reference, whose windows are counted here unless it already is counts.

    words: of every topic; None: the first by the model's own read-out.
    """
    words = topics.words(topics.top_n) if words is None else words
    return _defined(formula, words, counts_of(topics, coherence.WINDOWS[formula.__name__], variant, words))


def counts_of(topics: FittedTopics, window: int | None, variant: str, words: list[list[str]]) -> Cooccurrence:
    """Counts of the words over windows of the reference; UndefinedMetric if it holds others."""
    reference = topics.reference
    if not isinstance(reference, Cooccurrence):
        said = {word for topic in words for word in topic}
        return cooccurrence(reference, window, variant, words=said, cache_root=topics.cache_root)
    if reference.window != window or (window is not None and reference.variant != variant):
        raise UndefinedMetric(
            f"the reference holds {reference.variant} counts over windows of {reference.window}, not "
            f"{variant} over {window}"
        )
    return reference


def npmi_by(words_of: Callable[[FittedTopics, int], list[list[str]]], topics: FittedTopics) -> np.ndarray:
    """NPMI (K,) of the words of another read-out."""
    words = words_of(topics, topics.top_n)
    if words == topics.words(topics.top_n):
        return topics.npmi
    return reference_coherence(coherence.npmi, EXACT, topics, words)


def external_coherence(formula: Coherence, topics: FittedTopics) -> np.ndarray:
    """Coherence (K,) on the exact counts of an external reference."""
    if not topics.external:
        raise UndefinedMetric("no external reference is given; set reference.path")
    window = coherence.WINDOWS[formula.__name__]
    counts = topics.external.get(window or 0)
    if counts is None:
        raise UndefinedMetric(
            f"the external reference holds counts over windows of {', '.join(map(str, topics.external))}, "
            f"not of {window}"
        )
    return _defined(formula, topics.words(topics.top_n), counts)


def _defined(formula: Coherence, words: list[list[str]], counts: Cooccurrence) -> np.ndarray:
    """Coherence (K,); if words are absent, UndefinedMetric with the values of the other topics."""
    values = formula(words, counts)
    if absent := counts.absent(words):
        named = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        raise UndefinedMetric(f"the reference corpus lacks {len(absent)} top words: {named}", values)
    return values


def compared(formula: Callable[[np.ndarray, np.ndarray], np.ndarray], topics: FittedTopics) -> np.ndarray:
    """Values (K,) of a formula that compares topics: topics with documents only with each other."""
    beta, ranked, filled = topics.result.beta, topics.ranked(topics.top_n), topics.filled
    values = formula(beta, ranked)
    if len(filled) < len(beta):
        values[filled] = formula(beta[filled], ranked[filled])
    return values


def half_diversity(topics: FittedTopics) -> float:
    return quality.half_diversity(topics.whole_npmi, topics.filled_words(25))


def rating_of(result: TopicResult, rater: Rater | None, cache_root: Path | None) -> np.ndarray:
    """Ratings (K,) by a language model."""
    if rater is None:
        raise UndefinedMetric(
            "no language model is given to rate the topics; set rating=local or rating=endpoint"
        )
    ranked = enough(np.asarray(result.top_words), rater.num_words)
    words = [[result.vocab[word] for word in row] for row in ranked]
    return llm_rating(words, rater, cache_root)


TOPIC_METRICS: dict[str, Callable[[FittedTopics], float | np.ndarray]] = {
    "npmi": lambda topics: topics.npmi,
    "c_v": partial(reference_coherence, coherence.c_v, EXACT),
    "umass": partial(reference_coherence, coherence.umass, EXACT),
    "npmi_gensim": partial(reference_coherence, coherence.npmi, GENSIM),
    "c_v_gensim": partial(reference_coherence, coherence.c_v, GENSIM),
    "npmi_ref": partial(external_coherence, coherence.npmi),
    "c_v_ref": partial(external_coherence, coherence.c_v),
    "npmi_top50": lambda topics: quality.half_npmi(topics.whole_npmi),
    "td": lambda topics: diversity.topic_diversity(topics.filled_words(topics.top_n)),
    "td25": lambda topics: diversity.topic_diversity(topics.filled_words(25)),
    "td25_top50": half_diversity,
    "tq": lambda topics: topics.whole_npmi.mean() * diversity.topic_diversity(topics.filled_words(25)),
    "tq_top50": lambda topics: quality.half_npmi(topics.whole_npmi) * half_diversity(topics),
    "irbo": lambda topics: diversity.inverted_rbo(topics.filled_words(topics.top_n)),
    "frex": partial(compared, diversity.frex),
    "exclusivity": partial(compared, diversity.exclusivity),
    "npmi_usage": partial(npmi_by, FittedTopics.words_by_usage),
    "td_usage": lambda topics: diversity.topic_diversity(
        topics.of_filled(topics.words_by_usage(topics.top_n))
    ),
    "npmi_beta": partial(npmi_by, FittedTopics.words_by_beta),
    "td_beta": lambda topics: diversity.topic_diversity(topics.of_filled(topics.words_by_beta(topics.top_n))),
    "llm_rating": lambda topics: rating_of(topics.result, topics.rater, topics.cache_root),
}
