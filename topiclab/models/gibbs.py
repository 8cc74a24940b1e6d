"""LDA and HDP by collapsed Gibbs sampling (tomotopy, extra `gibbs`): the count models to measure against."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from topiclab.data.datamodule import TopicDataModule
from topiclab.models.classical import ClassicalModel, words_nll

GAP = 10  # sweeps between two samples that are averaged, and between two updates of a learned prior


class _GibbsModel(ClassicalModel):
    """Fold-in and likelihood under the topics that a sampler left; a subclass gives `_fit`.

    topic_counts: (K, V) tokens of a word in a topic, eta included.  alpha: (K,) prior of the proportions.
    theta is not the sampler's last state but the fold-in of every document, so that a training document and
    the same text unseen get the same proportions.
    """

    arrays = ("topic_counts", "alpha")
    topic_counts: np.ndarray
    alpha: np.ndarray

    def __init__(self, *, num_sweeps: int, num_workers: int, eta: float, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.num_sweeps, self.num_workers, self.eta = num_sweeps, num_workers, eta

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        from topiclab.models.fold_in import fold_in  # numba takes half a second to import

        return fold_in(bow, self._beta(), self.alpha)

    def _beta(self) -> np.ndarray:
        return self.topic_counts / self.topic_counts.sum(axis=1, keepdims=True)

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return words_nll(theta, self._beta(), bow)

    def _sweep(self, sampler: Any, num_sweeps: int) -> None:
        sampler.train(num_sweeps, workers=self.num_workers)


class LDAGibbs(_GibbsModel):
    """Latent Dirichlet allocation by collapsed Gibbs sampling (Griffiths & Steyvers 2004), tomotopy.

    alpha: symmetric is 1/K; asymmetric falls as 1/(k + sqrt K), sum 1; auto is learned from 1/K on.
    num_samples: topics are the mean over so many samples, the last ones, ten sweeps apart.
    num_workers: only one worker repeats a seed bit for bit.
    """

    def __init__(self, *, num_samples: int, alpha: str, **options: Any) -> None:
        super().__init__(**options)
        self.num_samples, self.prior = num_samples, alpha
        if num_samples * GAP > self.num_sweeps:
            raise ValueError(
                f"model.num_samples={num_samples} samples, {GAP} sweeps apart, do not fit into "
                f"model.num_sweeps={self.num_sweeps}; raise num_sweeps or lower num_samples"
            )

    def _fit(self, datamodule: TopicDataModule) -> None:
        from tomotopy import LDAModel

        bow = datamodule.train_bow
        prior = np.full(self.num_topics, 1 / self.num_topics)
        if self.prior == "asymmetric":
            falling = 1 / (np.arange(self.num_topics) + np.sqrt(self.num_topics))
            prior = falling / falling.sum()
        sampler = LDAModel(k=self.num_topics, alpha=prior.tolist(), eta=self.eta, seed=self.seed)
        sampler.optim_interval = GAP if self.prior == "auto" else 0
        for tokens in _token_lists(bow):
            sampler.add_doc(tokens)
        if burn_in := self.num_sweeps - self.num_samples * GAP:
            self._sweep(sampler, burn_in)
        samples = np.zeros((self.num_topics, bow.get_shape()[1]))
        for _ in range(self.num_samples):
            self._sweep(sampler, GAP)
            samples += _topic_counts(sampler, bow.get_shape()[1])
        self.topic_counts = samples / self.num_samples
        self.alpha = np.asarray(sampler.alpha, dtype=np.float64)


class HDP(_GibbsModel):
    """Hierarchical Dirichlet process (Teh et al. 2005), tomotopy: the corpus says how many topics there are.

    num_topics is where the sampler starts and the most that are kept: the largest, each with its learned
    prior. Fewer found are fewer topics of the result. info: topics_found, and tokens_kept, the share of the
    tokens that lie in topics that were kept.
    document_concentration, topic_concentration: of tables in a document and of topics over tables, both
    learned from there on.
    """

    def __init__(self, *, document_concentration: float, topic_concentration: float, **options: Any) -> None:
        super().__init__(**options)
        self.concentrations: dict[str, Any] = {"alpha": document_concentration, "gamma": topic_concentration}

    def _fit(self, datamodule: TopicDataModule) -> None:
        from tomotopy import HDPModel

        bow = datamodule.train_bow
        sampler = HDPModel(
            initial_k=max(self.num_topics, 2), eta=self.eta, seed=self.seed, **self.concentrations
        )
        for tokens in _token_lists(bow):
            sampler.add_doc(tokens)
        self._sweep(sampler, self.num_sweeps)
        live, _ = sampler.convert_to_lda()
        counts = _topic_counts(live, bow.get_shape()[1])
        tokens = counts.sum(axis=1) - self.eta * counts.shape[1]
        kept = np.argsort(-tokens, kind="stable")[: self.num_topics]
        self.topic_counts, self.alpha = counts[kept], np.asarray(live.alpha, dtype=np.float64)[kept]
        self.info = {"topics_found": int(live.k), "tokens_kept": float(tokens[kept].sum() / tokens.sum())}


def _token_lists(bow: sparse.csr_matrix) -> Iterator[list[str]]:
    """The tokens of every document that has some, a word known by its number."""
    names = np.array([str(word) for word in range(bow.get_shape()[1])], dtype=object)
    counts = np.asarray(bow.data, dtype=np.int64)
    tokens = np.repeat(names[bow.indices], counts)
    ends = np.concatenate([[0], np.cumsum(counts)])[bow.indptr]
    for begin, end in pairwise(ends):
        if end > begin:
            yield tokens[begin:end].tolist()


def _topic_counts(sampler: Any, num_words: int) -> np.ndarray:
    """Tokens of a word in a topic plus eta, (K, V) float64; a word never seen has eta alone."""
    seen = np.array([int(word) for word in sampler.used_vocabs])
    counts = np.full((sampler.k, num_words), sampler.eta, dtype=np.float64)
    for topic in range(sampler.k):
        counts[topic, seen] = sampler.get_topic_word_dist(topic, normalize=False)
    return counts
