"""Extra metrics of a fit, by their name in metrics.extra, and baselines of a supervised one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from topiclab.metrics import clustering, coherence
from topiclab.metrics.cooccurrence import EXACT
from topiclab.metrics.intrusion import model_precision
from topiclab.metrics.probe import Probe, linear_probe, majority
from topiclab.metrics.topics import FittedTopics, counts_of
from topiclab.metrics.undefined import UndefinedMetric

NUM_STARTS = 10  # of k-means, as TVQ-VAE's protocol has it


@dataclass(frozen=True)
class Extras:
    """Evidence that extra metrics read beside the topics.

    names: of metrics.extra.  vectors: (D, E) that the model read of the documents; None if it read none.
    word_vectors: returns those (V, E) of the vocabulary; None without an embedder that reads words.
    seed: of k-means and of the intruders.
    """

    names: tuple[str, ...] = ()
    vectors: np.ndarray | None = None
    word_vectors: Callable[[], np.ndarray] | None = None
    seed: int = 0


@dataclass(frozen=True)
class ExtraEvidence:
    """The topics of a fit, and what the metrics below share."""

    topics: FittedTopics
    extras: Extras

    @property
    def labels(self) -> np.ndarray:
        if (labels := self.topics.corpus.labels) is None:
            raise UndefinedMetric("the corpus has no labels")
        return labels

    @property
    def train(self) -> np.ndarray:
        return self.topics.corpus.rows("train")

    @property
    def test(self) -> np.ndarray:
        """Rows of the held-out documents."""
        return self.topics.corpus.rows("test")

    @cached_property
    def clusters(self) -> np.ndarray:
        """k-means clusters of theta of the held-out documents, as many as there are topics."""
        from sklearn.cluster import KMeans

        theta, num_topics = self.topics.result.theta[self.test], self.topics.result.num_topics
        if len(theta) < num_topics:
            raise UndefinedMetric(f"{len(theta)} test documents are too few for {num_topics} clusters")
        clusters: Any = KMeans(num_topics, n_init=NUM_STARTS, random_state=self.extras.seed)  # type: ignore[reportArgumentType]
        return clusters.fit_predict(theta)

    @cached_property
    def of_theta(self) -> Probe:
        return linear_probe(self.topics.result.theta, self.labels, self.train, self.test)


def vector_probe(evidence: ExtraEvidence) -> float:
    """Accuracy of a linear probe on the vectors that the model read."""
    if (vectors := evidence.extras.vectors) is None:
        raise UndefinedMetric("the model reads no vectors")
    return linear_probe(np.asarray(vectors), evidence.labels, evidence.train, evidence.test).accuracy


def embedding_coherence(evidence: ExtraEvidence) -> np.ndarray:
    """Mean cosine (K,) of the embedder's vectors over all pairs of a topic's first words, in [-1, 1]."""
    if evidence.extras.word_vectors is None:
        raise UndefinedMetric("this input has no vectors of words; use input=embedder with e.g. embedder=lsa")
    try:
        vectors = np.asarray(evidence.extras.word_vectors(), dtype=np.float32)
    except ValueError as error:
        raise UndefinedMetric(str(error)) from error
    ranked = evidence.topics.ranked(evidence.topics.top_n)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    num_words, totals = ranked.shape[1], unit[ranked].sum(axis=1)
    own = np.square(unit[ranked]).sum(axis=(1, 2))
    return (np.square(totals).sum(axis=1) - own) / (num_words * (num_words - 1))


def intrusion(evidence: ExtraEvidence) -> np.ndarray:
    """Share (K,) of drawn intruders that NPMI finds, over the topics with documents; nan for the others."""
    topics = evidence.topics
    ranked = topics.ranked(topics.top_n)[topics.filled]
    words = [[topics.result.vocab[word]] for word in np.unique(ranked)]
    counts = counts_of(topics, coherence.WINDOWS["npmi"], EXACT, words)
    if absent := counts.absent(words):
        raise UndefinedMetric(f"the reference corpus lacks {len(absent)} top words, such as {absent[0]}")
    table = coherence.npmi_of(counts, counts.ids(words)[:, 0])
    found = np.full(topics.result.num_topics, np.nan)
    found[topics.filled] = model_precision(
        topics.result.beta[topics.filled], ranked, table, evidence.extras.seed
    )
    return found


Measured = Callable[[ExtraEvidence], float | np.ndarray]
EXTRA_METRICS: dict[str, dict[str, Measured]] = {
    "kmeans": {
        "test/km_purity": lambda fit: clustering.purity(fit.labels[fit.test], fit.clusters),
        "test/km_nmi": lambda fit: clustering.normalized_mutual_information(
            fit.labels[fit.test], fit.clusters
        ),
    },
    "intrusion": {"intrusion": intrusion},
    "embedding": {"embedding_coherence": embedding_coherence},
    "probe": {
        "test/accuracy_theta": lambda fit: fit.of_theta.accuracy,
        "test/macro_f1_theta": lambda fit: fit.of_theta.macro_f1,
    },
}
# Of a model that predicts labels: what its accuracy has to beat.
LABEL_BASELINES: dict[str, Measured] = {
    "test/accuracy_majority": lambda fit: majority(fit.labels, fit.train, fit.test),
    "test/accuracy_vectors": vector_probe,
}
EXTRA_NAMES = tuple(name for metrics in EXTRA_METRICS.values() for name in metrics)


def extra_measures(
    topics: FittedTopics, extras: Extras, predicts_labels: bool
) -> Mapping[str, Callable[[], float | np.ndarray]]:
    """The metrics that `extras` names and, if labels are predicted, their baselines."""
    evidence = ExtraEvidence(topics, extras)
    chosen = {name: metric for extra in extras.names for name, metric in EXTRA_METRICS[extra].items()}
    chosen |= LABEL_BASELINES if predicts_labels else {}
    return {name: partial(metric, evidence) for name, metric in chosen.items()}
