"""ClassicalModel: shared base of the estimators that are not trained by gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from scipy import sparse

from topiclab.data.covariates import Covariates
from topiclab.data.datamodule import TopicDataModule
from topiclab.result import TopicResult, rank_words
from topiclab.settings import Trainer


class ClassicalModel:
    """Fitting, state and assembly of the result; a subclass defines `_fit`, `transform` and `_beta`.

    Every model is passed sizes; these models ignore them and take what they need from the data.
    """

    arrays: tuple[str, ...]  # names of the attributes that are the fitted state
    readout: str = "beta"  # name of what `_rank` ranks by
    known_covariates: Covariates | None = None  # of a fitted model that reads them
    reads_timestamps: bool = False

    def __init__(self, *, num_topics: int, seed: int, **_sizes: Any) -> None:
        self.num_topics, self.seed = num_topics, seed
        self.info: dict[str, Any] = {}  # facts of the fit, for the result

    def fit(
        self,
        datamodule: TopicDataModule,
        folder: Path,
        trainer: Trainer,
        loggers: Sequence[Logger] = (),
    ) -> TopicResult:
        corpus = datamodule.corpus
        self._fit(datamodule)
        theta = self._theta(datamodule)
        beta = self._beta().astype(np.float32)
        scores = self._rank(theta[datamodule.train_rows], datamodule.train_bow)
        return TopicResult(
            theta,
            beta,
            corpus.vocab,
            top_words=rank_words(scores),
            word_nll=self._word_nll(theta, corpus.bow),
            info=self.info,
        )

    def state(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(getattr(self, name)) for name in self.arrays}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        if missing := sorted(set(self.arrays) - set(state)):
            raise ValueError(
                f"the saved model lacks {', '.join(missing)}; it was fitted by another model, so fit it again"
            )
        for name in self.arrays:
            setattr(self, name, np.asarray(state[name]))

    def _fit(self, datamodule: TopicDataModule) -> None:
        raise NotImplementedError

    def _theta(self, datamodule: TopicDataModule) -> np.ndarray:
        """Proportions (D, K) of all documents of the corpus."""
        return self.transform(datamodule.corpus.bow, datamodule.embeddings)

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        raise NotImplementedError

    def _beta(self) -> np.ndarray:
        """Word distributions (K, V)."""
        raise NotImplementedError

    def _rank(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        """Scores by which the words of a topic are ranked; theta and bow of the training documents."""
        return self._beta()

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray | None:
        """NLL of every bag (D,), in nats; None if the model does not define a word likelihood."""
        return None


def words_nll(theta: np.ndarray, beta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
    """NLL of every bag under the mixture theta @ beta, in nats; (D,) float64."""
    num_docs = bow.get_shape()[0]
    docs = np.repeat(np.arange(num_docs), np.diff(bow.indptr))
    probs = np.einsum("nk,nk->n", theta[docs], beta.T[bow.indices])
    nats: np.ndarray = bow.data * np.log(probs)
    return -np.bincount(docs, nats, minlength=num_docs)
