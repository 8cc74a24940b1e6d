"""Metrics of the documents of one split, by name: topics against labels, words against the decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from topiclab.metrics import clustering
from topiclab.metrics.perplexity import perplexity
from topiclab.metrics.retrieval import precision_at
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.result import TopicResult

if TYPE_CHECKING:
    from topiclab.data.corpus import Corpus

DEPTHS = (1, 5, 10)  # numbers of nearest training documents whose labels are compared


@dataclass(frozen=True)
class SplitDocuments:
    """Documents of one split, with the result of a model and, if supervised, its predicted labels."""

    result: TopicResult
    corpus: Corpus
    rows: np.ndarray
    predictions: np.ndarray | None

    @cached_property
    def topics(self) -> np.ndarray:
        """Strongest topic of every document."""
        return self.result.theta[self.rows].argmax(axis=1)

    @property
    def labels(self) -> np.ndarray:
        return self._all_labels[self.rows]

    @property
    def _all_labels(self) -> np.ndarray:
        if self.corpus.labels is None:
            raise UndefinedMetric("the corpus has no labels")
        return self.corpus.labels

    @property
    def predicted(self) -> np.ndarray:
        """Labels predicted by the model."""
        if self.predictions is None:
            raise UndefinedMetric("the model does not predict labels")
        return self.predictions[self.rows]

    @cached_property
    def precisions(self) -> dict[int, float]:
        """Retrieval precision at each of DEPTHS."""
        candidates = self.corpus.rows("train")
        values = precision_at(self.result.theta, self._all_labels, self.rows, candidates, DEPTHS)
        return dict(zip(DEPTHS, values.tolist(), strict=True))


def precision(depth: int, documents: SplitDocuments) -> float:
    """Share of the `depth` nearest training documents that have the document's label."""
    if np.isnan(value := documents.precisions[depth]):
        raise UndefinedMetric(f"there are fewer than {depth} other training documents with labels")
    return value


def token_perplexity(documents: SplitDocuments) -> float:
    """Perplexity under the model's own decoder."""
    if documents.result.word_nll is None:
        raise UndefinedMetric("the model does not define a word likelihood")
    lengths = np.asarray(documents.corpus.bow.sum(axis=1)).ravel()
    return perplexity(documents.result.word_nll[documents.rows], lengths[documents.rows])


DOCUMENT_METRICS: dict[str, Callable[[SplitDocuments], float]] = {
    "purity": lambda documents: clustering.purity(documents.labels, documents.topics),
    "inverse_purity": lambda documents: clustering.inverse_purity(documents.labels, documents.topics),
    "purity_f": lambda documents: clustering.purity_f(documents.labels, documents.topics),
    "nmi": lambda documents: clustering.normalized_mutual_information(documents.labels, documents.topics),
    "ari": lambda documents: clustering.adjusted_rand_index(documents.labels, documents.topics),
    "p@1": partial(precision, 1),
    "p@5": partial(precision, 5),
    "p@10": partial(precision, 10),
    "perplexity": token_perplexity,
    "accuracy": lambda documents: clustering.accuracy(documents.labels, documents.predicted),
    "macro_f1": lambda documents: clustering.macro_f1(documents.labels, documents.predicted),
    "topics_used": lambda documents: clustering.topics_used(documents.topics),
}
