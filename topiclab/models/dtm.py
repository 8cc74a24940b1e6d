"""DTM: dynamic topic model, whose topics and their popularity drift from period to period (tomotopy)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.special import softmax

from topiclab.data.datamodule import TopicDataModule
from topiclab.data.period_bins import PeriodBins, Unit
from topiclab.limits import Count, Positive
from topiclab.models.base.classical_model import ClassicalModel, words_nll
from topiclab.models.base.laplace import Prior, blocks_of, posteriors
from topiclab.models.base.period_topics import mean_topics, period_masses, training_bins, write_periods
from topiclab.models.sampling.tokens import token_lists

TIGHT = 1e-9  # nats that a Newton step must promise
UNSEEN = 1e-3  # share of each topic spread over all words: a word may be new in held-out documents


class DTM(ClassicalModel):
    """Dynamic topic model (Blei & Lafferty 2006): a topic is a chain of word distributions, one a period.

    With periods t, the logits of topic k's words and of its popularity are random walks, and

        phi_tk ~ N(phi_(t-1)k, word_variance I), alpha_t ~ N(alpha_(t-1), topic_variance I)
        eta_d ~ N(alpha_t, document_variance I), theta_d = softmax(eta_d), p(w|d) = theta_d softmax(phi_t)

    Sampled by stochastic gradient Langevin dynamics (Bhadury et al. 2016), with tomotopy. theta is not the
    sampler's last state but the mode of eta under the topics of the document's period, for training documents
    and unseen ones alike. beta, and with it topic words and metrics of topics, is the mean over the periods,
    weighted by the topic's share in each; periods.json has the words of every period.

    period: length of a period, see `assign_periods`; none: one for all, LDA with a logistic-normal prior.
    step_size, step_delay, step_decay: step i of the sampler has length size * (delay + i) ^ -decay. A few
    frequent words need a smaller step: with 100 words 0.03 finds planted topics and 0.1 never settles; with
    2,000 words 0.1 finds topics in 400 sweeps and 0.03 not in 600.
    """

    arrays = ("word_probs", "popularity", "masses", "packed_bins")

    def __init__(
        self,
        *,
        period: Unit,
        num_sweeps: Count,
        num_workers: Count,
        topic_variance: Positive,
        document_variance: Positive,
        word_variance: Positive,
        step_size: Positive,
        step_delay: Positive,
        step_decay: Positive,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.period: Unit = period
        self.num_sweeps, self.num_workers = num_sweeps, num_workers
        self.document_variance = document_variance
        self.options: dict[str, Any] = {
            "alpha_var": topic_variance,
            "eta_var": document_variance,
            "phi_var": word_variance,
            "lr_a": step_size,
            "lr_b": step_delay,
            "lr_c": step_decay,
        }
        self.reads_timestamps = period != "none"

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        super().load_state(state)
        self.bins = PeriodBins.unpacked(self.packed_bins)

    def transform(
        self, bow: sparse.csr_matrix, embeddings: np.ndarray | None, timestamps: np.ndarray | None = None
    ) -> np.ndarray:
        num_docs, num_free = bow.get_shape()[0], self.num_topics - 1
        index, theta = self.bins.index(timestamps, num_docs), np.empty((num_docs, self.num_topics))
        prior = Prior.of(self.document_variance * (np.eye(num_free) + 1))  # of logits less the last one
        for period in np.unique(index):
            rows = np.flatnonzero(index == period)
            means = torch.from_numpy(self.popularity[period, :-1] - self.popularity[period, -1:])
            probs = torch.from_numpy(self.word_probs[period].T.astype(np.float64))
            for block in blocks_of(bow[rows], self.num_topics):
                start = means.expand(len(block.rows), num_free)
                theta[rows[block.rows]] = posteriors(block, probs, start, prior, start, TIGHT).theta()
        return (theta / theta.sum(axis=1, keepdims=True)).astype(np.float32)

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write periods.json into the run folder."""
        write_periods(folder, self.bins, self.word_probs, self.masses, datamodule.corpus.vocab)

    def _fit(self, datamodule: TopicDataModule) -> None:
        self.bins, bow = training_bins(datamodule, self.period), datamodule.train_bow
        self.packed_bins = self.bins.packed()
        times = _times(datamodule, datamodule.train_rows)
        index = self.bins.index(times, bow.get_shape()[0])
        self.info = {"periods": len(self.bins), "unit": self.bins.unit}
        if self.num_topics == 1:  # which makes tomotopy crash, and needs no sampler
            self.word_probs, self.popularity = (
                _word_shares(bow, index, len(self.bins)),
                np.zeros((len(self.bins), 1)),
            )
        else:
            self._sample(bow, index)
        theta = self.transform(bow, None, times)
        self.masses = period_masses(theta, index, len(self.bins))

    def _sample(self, bow: sparse.csr_matrix, index: np.ndarray) -> None:
        """Set word_probs (T, K, V) and popularity (T, K); index: (D,) periods of the documents."""
        from tomotopy import DTModel

        sampler = DTModel(k=self.num_topics, t=len(self.bins), seed=self.seed, **self.options)
        for period, tokens in zip(index[np.diff(bow.indptr) > 0], token_lists(bow), strict=True):
            sampler.add_doc(tokens, timepoint=int(period))
        sampler.train(self.num_sweeps, workers=self.num_workers)
        self.info["nats_per_word"] = -sampler.ll_per_word
        seen = np.array([int(word) for word in sampler.used_vocabs])
        probs = np.zeros((len(self.bins), self.num_topics, bow.get_shape()[1]))
        for period, topic in np.ndindex(
            probs.shape[:2]
        ):  # its own softmax differs in the last bit by address
            probs[period, topic, seen] = softmax(np.array(sampler.get_phi(period, topic), np.float64))
        self.popularity = np.array(
            [sampler.get_alpha(period) for period in range(len(self.bins))], np.float64
        )
        if not (np.isfinite(probs).all() and np.isfinite(self.popularity).all()):
            raise ValueError(
                f"the sampler of model=dtm diverged with model.step_size={self.options['lr_a']}; lower it"
            )
        self.word_probs = _spread(probs)

    def _theta(self, datamodule: TopicDataModule) -> np.ndarray:
        corpus = datamodule.corpus
        self.nll = np.zeros(corpus.num_docs)
        theta = self.transform(corpus.bow, None, corpus.timestamps)
        index = self.bins.index(corpus.timestamps, corpus.num_docs)
        for period in np.unique(index):
            rows = np.flatnonzero(index == period)
            self.nll[rows] = words_nll(theta[rows], self.word_probs[period], corpus.bow[rows])
        return theta

    def _beta(self) -> np.ndarray:
        return mean_topics(self.word_probs, self.masses)

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return self.nll


def _spread(probs: np.ndarray) -> np.ndarray:
    """Distributions (T, K, V) with a share for words that training documents do not hold."""
    return ((1 - UNSEEN) * probs / probs.sum(axis=2, keepdims=True) + UNSEEN / probs.shape[2]).astype(
        np.float32
    )


def _word_shares(bow: sparse.csr_matrix, index: np.ndarray, num_periods: int) -> np.ndarray:
    """Shares (T, 1, V) of the words in each period."""
    num_words = bow.get_shape()[1]
    places = np.repeat(index, np.diff(bow.indptr)) * num_words + bow.indices
    counts = np.bincount(places, bow.data, num_periods * num_words)
    return _spread(counts.reshape(num_periods, 1, num_words))


def _times(datamodule: TopicDataModule, rows: np.ndarray) -> np.ndarray | None:
    timestamps = datamodule.corpus.timestamps
    return None if timestamps is None else timestamps[rows]
