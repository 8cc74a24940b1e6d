"""STM: structural topic model, whose prior of the topics depends on covariates of the document."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy import sparse

from topiclab.csv_table import write_csv
from topiclab.data.covariates import Covariates
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.design import Design
from topiclab.limits import Count, Positive, Unit
from topiclab.models.base.classical_model import words_nll
from topiclab.models.base.covariate_model import CovariateModel
from topiclab.models.base.laplace import Block, Prior, blocks_of, posteriors, proportions
from topiclab.models.prevalence.anchors import anchor_topics
from topiclab.models.prevalence.regression import Composition, effect_rows, pooled_coefficients
from topiclab.report.figures.effects import EFFECTS, draw_effects
from topiclab.result import rank_words

log = logging.getLogger(__name__)

START_VARIANCE = 20.0  # of the logits, wide, so that the first posteriors follow the words
LOOSE, TIGHT = 1e-3, 1e-9  # nats that a Newton step must promise: while topics move, and for good


class STM(CovariateModel):
    """Structural topic model with prevalence covariates (Roberts, Stewart & Airoldi 2016).

    A document d with design row x_d draws its topic logits, then its words as LDA does:

        eta_d ~ N(Gamma' x_d, Sigma) in K - 1 dimensions, theta_d = softmax(eta_d, 0), p(w|d) = theta_d beta

    Without covariates x_d is 1: the correlated topic model (Blei & Lafferty 2007). Variational EM: a Laplace
    approximation to eta at its mode, Gamma by regressions with a learned ridge (`pooled_coefficients`), Sigma
    and beta in closed form. Differs from the R package: Newton's method over blocks of documents for BFGS
    over one, `eta` pseudo-counts in beta (0 there), numbers standardised in the prior, and theta of a
    training document is inferred from the prior mean as that of an unseen one.

    prevalence: terms of the prior, see `Design.of`; all: every covariate of the data; none: no covariate.
    init: spectral, from anchor words, has no seed; random, a seeded start.
    max_iterations, tolerance: EM stops when the bound changes by less than this share.
    sigma_shrinkage: share of the covariance of the logits that is replaced by its diagonal.
    num_draws: draws of theta for the effects.
    explain: writes effects.csv and effects.png, the effects of the covariates on theta of the training
    documents, by the method of composition, in the units of the covariates.
    """

    arrays = ("word_probs", "gamma", "sigma", "packed_design")

    def __init__(
        self,
        *,
        init: Literal["spectral", "random"],
        max_iterations: Count,
        tolerance: Positive,
        eta: Positive,
        sigma_shrinkage: Unit,
        num_draws: Count,
        **model: Any,
    ) -> None:
        super().__init__(**model)
        self.init = init
        self.max_iterations, self.tolerance = max_iterations, tolerance
        self.eta, self.sigma_shrinkage, self.num_draws = eta, sigma_shrinkage, num_draws

    def transform(
        self,
        bow: sparse.csr_matrix,
        embeddings: np.ndarray | None,
        covariates: Covariates | None = None,
    ) -> np.ndarray:
        mu = self._prior_means(bow.get_shape()[0], covariates)
        theta = np.empty((len(mu), self.num_topics))
        prior, probs = Prior.of(self.sigma), torch.from_numpy(self.word_probs.T.copy())
        for block in blocks_of(bow, self.num_topics):
            start = torch.from_numpy(mu[block.rows])
            theta[block.rows] = posteriors(block, probs, start, prior, start, TIGHT).theta()
        return (theta / theta.sum(axis=1, keepdims=True)).astype(np.float32)

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write effects.csv and effects.png into the run folder; nothing without covariates."""
        if self.design is None:
            return
        covariates, bow = self.covariates_of(datamodule).at(datamodule.train_rows), datamodule.train_bow
        design = Design.of(covariates, self.terms, is_standardised=False)
        composition = Composition(design, covariates, self.num_draws, self.num_topics)
        mu, prior = self._prior_means(bow.get_shape()[0], covariates), Prior.of(self.sigma)
        probs, generator = (
            torch.from_numpy(self.word_probs.T.copy()),
            torch.Generator().manual_seed(self.seed),
        )
        for block in blocks_of(bow, self.num_topics):
            start = torch.from_numpy(mu[block.rows])
            found = posteriors(block, probs, start, prior, start, TIGHT)
            shape = (self.num_draws, *found.eta.shape)
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            composition.add(block.rows, found.draws(noise).numpy())
        vocab = datamodule.corpus.vocab
        words = [" ".join(vocab[word] for word in row[:3]) for row in rank_words(self._beta())]
        effects = composition.effects()
        write_csv(folder / EFFECTS, effect_rows(effects, words))
        draw_effects(folder)

    def _fit(self, datamodule: TopicDataModule) -> None:
        bow, num_free = datamodule.train_bow, self.num_topics - 1
        self.read_design(datamodule)
        covariates = datamodule.corpus.covariates
        if covariates is not None:
            covariates = covariates.at(datamodule.train_rows)
        matrix = self.matrix(bow.get_shape()[0], covariates)
        self.word_probs = self._smoothed(self._start(bow))
        self.sigma, self.gamma = START_VARIANCE * np.eye(num_free), np.zeros((matrix.shape[1], num_free))
        blocks, eta = list(blocks_of(bow, self.num_topics)), np.zeros((len(matrix), num_free))
        bound, iteration, is_done = -np.inf, 0, False
        while not is_done and iteration < self.max_iterations:
            before, iteration = bound, iteration + 1
            bound = self._iterate(bow, blocks, matrix, eta)
            is_done = abs(bound - before) < self.tolerance * abs(before)
        if not is_done:
            log.warning(
                "model=stm: the bound still changes after model.max_iterations=%d; raise it", iteration
            )
        self.info = {"iterations": iteration, "is_converged": is_done, "bound": bound}

    def _iterate(
        self, bow: sparse.csr_matrix, blocks: list[Block], matrix: np.ndarray, eta: np.ndarray
    ) -> float:
        """One step of EM, which moves eta (D, K - 1) to its modes; return the bound, in nats."""
        mu, prior, probs = (
            matrix @ self.gamma,
            Prior.of(self.sigma),
            torch.from_numpy(self.word_probs.T.copy()),
        )
        ratios, spread, bound = np.zeros(bow.nnz), torch.zeros_like(prior.sigma), 0.0
        for block in blocks:
            means, start = torch.from_numpy(mu[block.rows]), torch.from_numpy(eta[block.rows])
            found = posteriors(block, probs, means, prior, start, LOOSE)
            eta[block.rows] = found.eta
            ratios[block.places[block.is_word]] = found.ratios.numpy()[block.is_word]
            spread += found.covariance.sum(0)
            bound += float(found.bound.sum())
        self.gamma = pooled_coefficients(matrix, eta)
        gap = eta - matrix @ self.gamma
        sigma = (spread.numpy() + gap.T @ gap) / len(eta)
        self.sigma = sigma + self.sigma_shrinkage * (np.diag(np.diag(sigma)) - sigma)
        theta = proportions(torch.from_numpy(eta)).numpy()
        weights = sparse.csr_matrix((ratios, bow.indices, bow.indptr), bow.get_shape())
        self.word_probs = self._smoothed(self.word_probs * (weights.T @ theta).T)
        return bound

    def _start(self, bow: sparse.csr_matrix) -> np.ndarray:
        """Tokens (K, V) of each word in each topic, to start from."""
        if self.init == "spectral" and self.num_topics > 1:
            return anchor_topics(bow, self.num_topics) * bow.sum() / self.num_topics
        rng = np.random.default_rng(self.seed)
        shares = rng.dirichlet(np.full(self.num_topics, 0.1), bow.get_shape()[0])
        return np.asarray(bow.T @ shares).T

    def _smoothed(self, tokens: np.ndarray) -> np.ndarray:
        counts = tokens + self.eta
        return counts / counts.sum(axis=1, keepdims=True)

    def _prior_means(self, num_docs: int, covariates: Covariates | None) -> np.ndarray:
        """Mean (N, K - 1) of the logits before any word is read."""
        return self.matrix(num_docs, covariates) @ self.gamma

    def _theta(self, datamodule: TopicDataModule) -> np.ndarray:
        return self.transform(datamodule.corpus.bow, None, datamodule.corpus.covariates)

    def _beta(self) -> np.ndarray:
        return self.word_probs

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return words_nll(theta, self._beta(), bow)
