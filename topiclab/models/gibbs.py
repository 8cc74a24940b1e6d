"""LDA and HDP by collapsed Gibbs sampling (tomotopy, extra `gibbs`): the count-based baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse

from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive
from topiclab.models.base.classical_model import ClassicalModel, words_nll
from topiclab.models.sampling.chains import Chain, Chains
from topiclab.models.sampling.tokens import token_lists, topic_counts

GAP = 10  # sweeps between updates of a learned prior and, unless given, between samples


class GibbsModel(ClassicalModel):
    """Fold-in and likelihood under the topics found by a sampler; a subclass defines `_fit`.

    topic_counts: (K, V) tokens of a word in a topic, plus eta.  alpha: (K,) prior of the proportions.
    theta is not the sampler's last state but the fold-in of every document, so that a training document and
    the same text as an unseen document get the same proportions.
    """

    arrays = ("topic_counts", "alpha")
    topic_counts: np.ndarray
    alpha: np.ndarray

    def __init__(self, *, num_sweeps: Count, num_workers: Count, eta: Positive, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.num_sweeps, self.num_workers, self.eta = num_sweeps, num_workers, eta

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        from topiclab.models.sampling.fold_in import fold_in  # numba takes half a second to import

        return fold_in(bow, self._beta(), self.alpha)

    def _beta(self) -> np.ndarray:
        return self.topic_counts / self.topic_counts.sum(axis=1, keepdims=True)

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return words_nll(theta, self._beta(), bow)

    def _sweep(self, sampler: Any, num_sweeps: int) -> None:
        sampler.train(num_sweeps, workers=self.num_workers)


class LDAGibbs(GibbsModel):
    """Latent Dirichlet allocation by collapsed Gibbs sampling (Griffiths & Steyvers 2004), tomotopy.

    alpha: symmetric is 1/K; asymmetric falls as 1/(k + sqrt K), with sum 1; auto is learned, from 1/K on.
    num_samples, thinning: topics are the mean of the last num_samples samples, taken thinning sweeps apart.
    num_chains: each has its own seed, the first has `seed`; the topics are those of the likeliest chain.
    num_workers: only a single worker reproduces a seed bit for bit.
    info: agreement of the chains, see Chains.facts.
    """

    def __init__(
        self,
        *,
        num_samples: Count,
        alpha: Literal["symmetric", "asymmetric", "auto"],
        num_chains: Count = 1,
        thinning: Count = GAP,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.num_samples, self.prior = num_samples, alpha
        self.num_chains, self.thinning = num_chains, thinning
        if num_samples * thinning > self.num_sweeps:
            raise ValueError(
                f"model.num_samples={num_samples} samples, {thinning} sweeps apart, do not fit into "
                f"model.num_sweeps={self.num_sweeps}; raise num_sweeps or lower num_samples or thinning"
            )

    def _fit(self, datamodule: TopicDataModule) -> None:
        bow = datamodule.train_bow
        more = np.random.SeedSequence(self.seed).generate_state(self.num_chains)[1:]
        seeds = [self.seed, *more.tolist()]
        burn_in = self.num_sweeps - self.num_samples * self.thinning
        blocks = [self.thinning] * (burn_in // self.thinning)
        if rest := burn_in % self.thinning:
            blocks.insert(0, rest)
        blocks += [self.thinning] * self.num_samples
        with_tokens = np.asarray(datamodule.train_rows)[np.diff(bow.indptr) > 0]
        chains = [self._chain(bow, seed, blocks) for seed in seeds]
        self.chains = Chains(chains, seeds, np.cumsum(blocks), self.eta, with_tokens)
        chosen = chains[self.chains.chosen]
        self.topic_counts, self.alpha = chosen.mean_counts(self.eta), chosen.alpha[-1]
        self.info = self.chains.facts()

    def _chain(self, bow: sparse.csr_matrix, seed: int, blocks: Sequence[int]) -> Chain:
        """Run a chain on documents (D, V); blocks: sweeps between records, the last of which are samples."""
        from tomotopy import LDAModel

        prior = np.full(self.num_topics, 1 / self.num_topics)
        if self.prior == "asymmetric":
            falling = 1 / (np.arange(self.num_topics) + np.sqrt(self.num_topics))
            prior = falling / falling.sum()
        sampler = LDAModel(k=self.num_topics, alpha=prior.tolist(), eta=self.eta, seed=seed)
        sampler.optim_interval = GAP if self.prior == "auto" else 0
        for tokens in token_lists(bow):
            sampler.add_doc(tokens)
        likelihood, alpha, counts, shares = [], [], [], []
        theta = np.zeros((len(sampler.docs), self.num_topics))
        for number, num_sweeps in enumerate(blocks):
            self._sweep(sampler, num_sweeps)
            likelihood.append(sampler.ll_per_word)
            alpha.append(np.array(sampler.alpha, dtype=np.float64))
            if number >= len(blocks) - self.num_samples:
                found = topic_counts(sampler, bow.get_shape()[1]) - self.eta
                counts.append(sparse.csr_matrix(np.where(found > 0.5, found, 0)))
                drawn = np.array([document.get_topic_dist() for document in sampler.docs])
                shares.append(drawn.mean(axis=0))
                theta += drawn
        mean = (theta / self.num_samples).astype(np.float32)
        return Chain(np.array(likelihood), np.array(alpha), counts, mean, np.array(shares))

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write the chains into the run folder; see Chains.save."""
        self.chains.save(folder)


class HDP(GibbsModel):
    """Hierarchical Dirichlet process (Teh et al. 2005), tomotopy: the number of topics is inferred.

    num_topics: initial number of topics, and the maximum kept: the largest, each with its learned prior. If
    fewer are found, the result has fewer topics. info: topics_found, and tokens_kept, the share of the tokens
    in the topics kept.
    document_concentration, topic_concentration: initial values of the learned concentrations of tables in a
    document and of topics over tables.
    """

    def __init__(
        self, *, document_concentration: Positive, topic_concentration: Positive, **options: Any
    ) -> None:
        super().__init__(**options)
        self.concentrations: dict[str, Any] = {"alpha": document_concentration, "gamma": topic_concentration}

    def _fit(self, datamodule: TopicDataModule) -> None:
        from tomotopy import HDPModel

        bow = datamodule.train_bow
        sampler = HDPModel(
            initial_k=max(self.num_topics, 2), eta=self.eta, seed=self.seed, **self.concentrations
        )
        for tokens in token_lists(bow):
            sampler.add_doc(tokens)
        self._sweep(sampler, self.num_sweeps)
        live, _ = sampler.convert_to_lda()
        counts = topic_counts(live, bow.get_shape()[1])
        tokens = counts.sum(axis=1) - self.eta * counts.shape[1]
        kept = np.argsort(-tokens, kind="stable")[: self.num_topics]
        self.topic_counts, self.alpha = counts[kept], np.asarray(live.alpha, dtype=np.float64)[kept]
        self.info = {"topics_found": int(live.k), "tokens_kept": float(tokens[kept].sum() / tokens.sum())}
