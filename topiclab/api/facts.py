"""Facts of unseen texts, as models read them: covariates and dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from topiclab.data.covariates import Covariates, read_covariates
from topiclab.data.documents import Document, dates_of
from topiclab.data.missing import missing_values
from topiclab.models.base.estimator import Estimator
from topiclab.settings import Selection

GivenCovariates = Mapping[str, Sequence[Any]] | Covariates | None
GivenTimestamps = Sequence[Any] | np.ndarray | None


def told_covariates(
    model: Estimator, name: str, num_texts: int, told: GivenCovariates, selection: Selection
) -> dict[str, Covariates]:
    """Covariates of texts for `model.transform`; {} unless the model, of this name, reads them.

    told: values of each, by name.  selection: of the run.
    Raises ValueError where they are missing, not as many as the texts, not read, or not as those of the fit.
    """
    known = model.known_covariates
    if known is None:
        if told is None:
            return {}
        raise ValueError(f"model={name} reads no covariates; leave them out")
    if isinstance(told, Covariates):
        return {"covariates": told}
    if told is None:
        raise ValueError(
            f"model={name} was fitted with covariates; give those of these texts "
            f"(covariates=, data.covariate_columns=[{','.join(known.names)}])"
        )
    values = {column: list(given) for column, given in told.items()}
    for column, given in values.items():
        if len(given) != num_texts:
            raise ValueError(f"{num_texts} texts but {len(given)} {column}; give one for every text")
    places = [f"text {row}" for row in range(num_texts)]
    return {"covariates": read_covariates(values, places, missing_values(selection.missing), known)}


def told_timestamps(
    model: Estimator, name: str, num_texts: int, told: GivenTimestamps, selection: Selection
) -> dict[str, np.ndarray]:
    """Dates of texts for `model.transform`, (N,) datetime64; {} unless the model, of this name, reads them.

    Raises ValueError where they are missing, not as many as the texts, or not read.
    """
    if not model.reads_timestamps:
        if told is None:
            return {}
        raise ValueError(f"model={name} reads no dates; leave timestamps out")
    if told is None or len(told) != num_texts:
        given = "no dates" if told is None else f"{len(told)} dates"
        raise ValueError(
            f"{num_texts} texts but {given}, which model={name} reads; give timestamps= for every text "
            "(data.timestamp_column)"
        )
    if isinstance(told, np.ndarray) and told.dtype.kind == "M":
        return {"timestamps": told}
    dates = dates_of([Document("", timestamp=value, row=row) for row, value in enumerate(told)], selection)
    unknown = np.full(num_texts, "NaT", "datetime64[s]")
    return {"timestamps": unknown if dates is None else dates.times}
