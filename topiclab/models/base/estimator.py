"""Estimator: the interface that a run needs from a model, trained by gradient or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers import Logger
from scipy import sparse

from topiclab.data.covariates import Covariates
from topiclab.data.datamodule import TopicDataModule
from topiclab.result import TopicResult
from topiclab.settings import Trainer


class Estimator(Protocol):
    """Fits on the training documents, then infers topics of the whole corpus and of unseen documents.

    readout: what ranks the words of its topics: beta, or usage (see metrics/readout.py).
    known_covariates: names and levels of those that the fitted model reads of every document, which
        `transform` then takes as `covariates`; None for a model that reads none.
    reads_timestamps: `transform` then takes the dates (N,) datetime64 of the documents as `timestamps`.
    """

    readout: str
    known_covariates: Covariates | None
    reads_timestamps: bool

    def fit(
        self,
        datamodule: TopicDataModule,
        folder: Path,
        trainer: Trainer,
        loggers: Sequence[Logger] = (),
    ) -> TopicResult:
        """Fit, and infer topics of all documents of the corpus.

        folder: receives the checkpoints and history of models that have them.
        """
        ...

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        """Topic proportions (N, K) of unseen documents, from counts (N, V) and embeddings (N, E)."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Arrays from which an estimator of the same configuration can be restored."""
        ...

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore the arrays returned by `state`; ValueError names an array that does not fit."""
        ...


@runtime_checkable
class Explained(Protocol):
    """Estimator that can write an explanation of its topics."""

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write a readable account of what the topics are made of into the run folder."""
        ...


@runtime_checkable
class Coded(Protocol):
    """Estimator that reads codes, learned before it in a stage of their own."""

    @property
    def codebook_history(self) -> Sequence[Mapping[str, float]]:
        """Losses and use of the codes by epoch of that stage; empty for a fit that was resumed after it."""
        ...
