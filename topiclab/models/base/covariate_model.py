"""CovariateModel: what the models share whose prior of the topics depends on covariates of the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from topiclab.data.covariates import Covariates
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.design import Design
from topiclab.models.base.classical_model import ClassicalModel


class CovariateModel(ClassicalModel):
    """A classical model that reads covariates through a design, which it keeps among its arrays.

    prevalence: terms of the prior, see `Design.of`; all: every covariate of the data; none: no covariate.
    A subclass names packed_design in `arrays` and calls `read_design` first in its fit.
    """

    packed_design: np.ndarray

    def __init__(self, *, prevalence: Literal["all", "none"] | list[str], **sizes: Any) -> None:
        super().__init__(**sizes)
        self.prevalence = prevalence
        self.design: Design | None = None

    @property
    def terms(self) -> list[str]:
        return list(self.prevalence) if isinstance(self.prevalence, list) else []

    def read_design(self, datamodule: TopicDataModule, *, is_standardised: bool = True) -> None:
        """Make the design of the training documents; none with prevalence=none."""
        if self.prevalence != "none":
            covariates = self.covariates_of(datamodule).at(datamodule.train_rows)
            self._set_design(Design.of(covariates, self.terms, is_standardised=is_standardised))
        self.packed_design = np.zeros(0, np.uint8) if self.design is None else self.design.packed()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        super().load_state(state)
        self._set_design(Design.unpacked(self.packed_design) if len(self.packed_design) else None)

    def covariates_of(self, datamodule: TopicDataModule) -> Covariates:
        """The covariates of all documents; ValueError without any."""
        if (covariates := datamodule.corpus.covariates) is None:
            raise ValueError(
                f"model={self._name} reads covariates, but {datamodule.corpus.name} has none; name "
                "data.covariate_columns (in Python covariates=), or use model.prevalence=none"
            )
        return covariates

    def matrix(self, num_docs: int, covariates: Covariates | None) -> np.ndarray:
        """Rows x_d (N, P) of the documents; ValueError without covariates that the fitted model reads."""
        if self.design is None:
            return np.ones((num_docs, 1))
        if covariates is None:
            raise ValueError(
                f"model={self._name} was fitted with {', '.join(self.design.known.names)}; give covariates"
            )
        return self.design.matrix(covariates)

    @property
    def _name(self) -> str:
        return type(self).__name__.lower()

    def _set_design(self, design: Design | None) -> None:
        self.design = design
        self.known_covariates = None if design is None else design.known
