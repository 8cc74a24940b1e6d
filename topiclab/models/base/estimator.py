"""Estimator: what a run needs of a model, trained by gradient or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from lightning.pytorch.loggers import Logger
from scipy import sparse

from topiclab.data.datamodule import TopicDataModule
from topiclab.result import TopicResult
from topiclab.settings import Trainer


class Estimator(Protocol):
    """Fits on the training documents, then answers for every document of the corpus and for unseen ones."""

    def fit(
        self,
        datamodule: TopicDataModule,
        folder: Path,
        trainer: Trainer,
        loggers: Sequence[Logger] = (),
    ) -> TopicResult:
        """Topics over all documents of the corpus; folder takes checkpoints and history of models that have
        them."""
        ...

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        """Topic proportions (N, K) of unseen documents, from counts (N, V) and embeddings (N, E)."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that make an estimator of the same configuration whole again."""
        ...

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take what `state` gave; ValueError names an array that does not fit."""
        ...


@runtime_checkable
class Explained(Protocol):
    """An estimator with more to show than topics."""

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write into the run folder what the topics are made of, for a reader."""
        ...
