"""DMR: LDA whose prior of the topics depends on covariates of the document (tomotopy, extra `gibbs`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from topiclab.csv_table import write_csv
from topiclab.data.covariates import Covariates
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive
from topiclab.models.base.classical_model import words_nll
from topiclab.models.base.covariate_model import CovariateModel
from topiclab.models.sampling.tokens import token_lists, topic_counts

SHOWN_WORDS = 5  # per topic


class DMR(CovariateModel):
    """Dirichlet-multinomial regression (Mimno & McCallum 2008).

        theta_d ~ Dirichlet(alpha_d),   alpha_dk = exp(gamma_k' x_d),   gamma ~ N(0, sigma^2)

    x_d is 1 and an indicator of every level of the covariates but the most frequent. Collapsed Gibbs sampling
    in turn with gradient steps on gamma. Only indicators: for numbers there is model=stm, or the term
    `category year`. theta is the fold-in of a document under its own prior alpha_d, of a training document as
    of an unseen one, whose covariates must be given.

    prevalence: terms of the prior, see `Design.of`; all: every covariate of the data; none: alpha is the same
    for all documents, and learned.
    alpha: of the first sweeps.  sigma: standard deviation of gamma.  eta: prior of the words.
    explain: writes priors.csv, gamma and the shares of alpha with a level, the others at their most frequent.
    """

    arrays = ("topic_counts", "gamma", "packed_design")
    topic_counts: np.ndarray
    gamma: np.ndarray

    def __init__(
        self,
        *,
        num_sweeps: Count,
        num_workers: Count,
        alpha: Positive,
        sigma: Positive,
        eta: Positive,
        **model: Any,
    ) -> None:
        super().__init__(**model)
        self.num_sweeps, self.num_workers = num_sweeps, num_workers
        self.options: dict[str, Any] = {"alpha": alpha, "sigma": sigma, "eta": eta}

    def transform(
        self,
        bow: sparse.csr_matrix,
        embeddings: np.ndarray | None,
        covariates: Covariates | None = None,
    ) -> np.ndarray:
        from topiclab.models.sampling.fold_in import fold_in  # numba takes half a second to import

        rows, place = np.unique(self.matrix(bow.get_shape()[0], covariates), axis=0, return_inverse=True)
        theta = np.empty((len(place), self.num_topics), np.float32)
        for number, alpha in enumerate(np.exp(rows @ self.gamma)):
            members = np.flatnonzero(place.ravel() == number)
            theta[members] = fold_in(bow[members], self._beta(), alpha)
        return theta

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write priors.csv into the run folder; nothing without covariates."""
        if self.design is None:
            return
        vocab = datamodule.corpus.vocab
        top = np.argsort(-self._beta(), axis=1, kind="stable")[:, :SHOWN_WORDS]
        log_alpha = self.gamma + self.gamma[0]
        log_alpha[0] = self.gamma[0]
        alpha = np.exp(log_alpha)
        num_rows = len(self.design.names)
        columns = {
            "covariate": np.repeat(np.array(self.design.names, object), self.num_topics),
            "topic": np.tile(np.arange(self.num_topics), num_rows),
            "words": [" ".join(vocab[word] for word in row) for row in top] * num_rows,
            "gamma": self.gamma.ravel(),
            "share": (alpha / alpha.sum(axis=1, keepdims=True)).ravel(),
        }
        write_csv(folder / "priors.csv", columns)

    def _fit(self, datamodule: TopicDataModule) -> None:
        from tomotopy import DMRModel

        self.read_design(datamodule, is_standardised=False)
        covariates, bow = datamodule.corpus.covariates, datamodule.train_bow
        if covariates is not None:
            covariates = covariates.at(datamodule.train_rows)
        matrix = self.matrix(bow.get_shape()[0], covariates)
        self._refuse_numbers(matrix)
        sampler = DMRModel(k=self.num_topics, seed=self.seed, **self.options)
        with_words = matrix[np.diff(bow.indptr) > 0, 1:]
        for tokens, row in zip(token_lists(bow), with_words, strict=True):
            sampler.add_doc(tokens, multi_metadata=[str(column) for column in np.flatnonzero(row)])
        sampler.train(self.num_sweeps, workers=self.num_workers)
        self.topic_counts = topic_counts(sampler, bow.get_shape()[1])
        base = np.asarray(sampler.get_topic_prior(raw=True), np.float64)
        self.gamma = np.zeros((matrix.shape[1], self.num_topics))
        self.gamma[0] = base
        for column in np.flatnonzero(with_words.any(axis=0)):
            prior = sampler.get_topic_prior(multi_metadata=[str(column)], raw=True)
            self.gamma[column + 1] = prior - base  # terms add up in the logarithm

    def _refuse_numbers(self, matrix: np.ndarray) -> None:
        is_indicator = np.isin(matrix, (0, 1)).all(axis=0)
        if self.design is not None and not is_indicator.all():
            name = self.design.names[int(is_indicator.argmin())]
            raise ValueError(
                f"model=dmr reads categories, but the covariate {name} is a number other than 0 and 1; use "
                f"model.prevalence=[category {name}] if its values are few, or model=stm"
            )

    def _theta(self, datamodule: TopicDataModule) -> np.ndarray:
        return self.transform(datamodule.corpus.bow, None, datamodule.corpus.covariates)

    def _beta(self) -> np.ndarray:
        return self.topic_counts / self.topic_counts.sum(axis=1, keepdims=True)

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return words_nll(theta, self._beta(), bow)
