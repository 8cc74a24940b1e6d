"""Regressions on covariates: the prior mean of the topic logits, and effects on topic proportions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from topiclab.data.covariates import Covariate, Covariates
from topiclab.data.design import Design

MAX_ITERATIONS = 1000
LEVEL = 0.95
REACH = (0.1, 0.9)  # quantiles of a number between which a contrast is told


def pooled_coefficients(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Coefficients (P, n) of n linear regressions with a ridge whose strength each learns from its data.

    matrix: (D, P), the first column the intercept, which is not shrunk.  values: (D, n).
    Variational Bayes: coefficients N(0, 1/alpha), noise N(0, 1/tau), alpha and tau Gamma(1, 1), as the prior
    `Pooled` of the R package stm.
    """
    means, centre = values.mean(axis=0), matrix[:, 1:].mean(axis=0)
    columns, residuals = matrix[:, 1:] - centre, values - means
    spectrum, axes = np.linalg.eigh(columns.T @ columns)
    spectrum = np.maximum(spectrum, 0)[:, None]
    pull, total = axes.T @ (columns.T @ residuals), np.square(residuals).sum(axis=0)
    alpha, tau = np.ones(values.shape[1]), np.ones(values.shape[1])
    found = np.zeros_like(pull)
    for _ in range(MAX_ITERATIONS):
        before = found
        variance = 1 / (tau * spectrum + alpha)
        found = tau * variance * pull
        error = total - 2 * (found * pull).sum(axis=0) + (spectrum * found**2).sum(axis=0)
        tau = (1 + len(matrix) / 2) / (1 + 0.5 * (error + (spectrum * variance).sum(axis=0)))
        alpha = (1 + len(pull) / 2) / (1 + 0.5 * (found**2 + variance).sum(axis=0))
        if np.abs(found - before).max(initial=0) < 1e-6:
            break
    slopes = axes @ found
    return np.concatenate([(means - centre @ slopes)[None], slopes])


@dataclass(frozen=True)
class Effects:
    """Effects on the proportion of K topics, by linear regression and the method of composition.

    kinds: of the n rows, `coefficient` or `contrast`, the mean difference of proportions between two values
    of a covariate with the others as they are.  names: of the n rows.
    estimates, errors, low, high, p: (n, K).  low, high: interval at the level LEVEL.
    """

    kinds: tuple[str, ...]
    names: tuple[str, ...]
    estimates: np.ndarray
    errors: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


class Composition:
    """Method of composition (Treier & Jackman 2008; Roberts et al. 2016): regressions of draws of theta.

    Each of S draws of all theta is regressed on the design; the effects then mix the S sampling distributions
    of the coefficients, so that intervals hold the uncertainty of theta too. Draws come in blocks of
    documents, of which only sums are kept.
    """

    def __init__(self, design: Design, covariates: Covariates, num_draws: int, num_topics: int) -> None:
        self.design, self.covariates = design, covariates
        self.matrix = design.matrix(covariates)
        self.cross = np.zeros((num_draws, self.matrix.shape[1], num_topics))
        self.squares = np.zeros((num_draws, num_topics))

    def add(self, rows: np.ndarray, draws: np.ndarray) -> None:
        """Take draws (S, B, K) of the documents `rows`."""
        self.cross += np.einsum("bp,sbk->spk", self.matrix[rows], draws, optimize=True)
        self.squares += np.square(draws).sum(axis=1)

    def effects(self) -> Effects:
        """Effects of all terms of the design, and contrasts of all covariates in it."""
        num_docs, num_columns = self.matrix.shape
        inverse = np.linalg.inv(self.matrix.T @ self.matrix)
        drawn = np.einsum("pq,sqk->spk", inverse, self.cross)
        residual = self.squares - (drawn * self.cross).sum(axis=1)
        noise = np.maximum(residual, 0) / max(num_docs - num_columns, 1)
        names, shifts = contrasts(self.design, self.covariates)
        told = np.concatenate([np.eye(num_columns), np.array(shifts).reshape(-1, num_columns)])
        estimates = np.einsum("np,spk->snk", told, drawn)
        within = np.einsum("np,pq,nq->n", told, inverse, told)[:, None] * noise.mean(axis=0)
        mean, errors = estimates.mean(axis=0), np.sqrt(within + estimates.var(axis=0))
        reach = stats.norm.ppf((1 + LEVEL) / 2) * errors
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * stats.norm.sf(np.abs(mean) / errors)
        return Effects(
            ("coefficient",) * num_columns + ("contrast",) * len(names),
            (*self.design.names, *names),
            mean,
            errors,
            mean - reach,
            mean + reach,
            np.where(errors > 0, p, np.nan),
        )


def contrasts(design: Design, covariates: Covariates) -> tuple[list[str], list[np.ndarray]]:
    """Names and (P,) mean differences of the design between two values of each covariate in it."""
    names: list[str] = []
    shifts: list[np.ndarray] = []
    for name in dict.fromkeys(factor.name for factor in design.factors):
        for told, low, high in _values_compared(covariates[name], design):
            ends = [design.matrix(_with(covariates, name, value)) for value in (low, high)]
            names.append(told)
            shifts.append((ends[1] - ends[0]).mean(axis=0))
    return names, shifts


def _values_compared(covariate: Covariate, design: Design) -> list[tuple[str, float, float]]:
    """Name, lower and higher value of the contrasts of a covariate."""
    name, values = covariate.name, covariate.values
    if not covariate.is_numeric:
        return [
            (f"{name}: {covariate.levels[0]} to {level}", 0, number)
            for number, level in enumerate(covariate.levels[1:], 1)
        ]
    for factor in design.factors:
        if factor.name == name and factor.kind == "category":
            first = factor.values[0]
            return [(f"{name}: {first:g} to {other:g}", first, other) for other in factor.values[1:]]
    low, high = np.quantile(values, REACH) if len(np.unique(values)) > 2 else (values.min(), values.max())
    if low == high:
        low, high = values.min(), values.max()
    return [(f"{name}: {low:g} to {high:g}", float(low), float(high))]


def _with(covariates: Covariates, name: str, value: float) -> Covariates:
    """The covariates with one of them set to a value in all documents."""
    return Covariates(
        tuple(
            Covariate(column.name, np.full_like(column.values, value), column.levels)
            if column.name == name
            else column
            for column in covariates.columns
        )
    )


def effect_rows(effects: Effects, words: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of effects.csv: a row for each topic and effect; words: of each topic."""
    num_rows, num_topics = effects.estimates.shape
    tables = (effects.estimates, effects.errors, effects.low, effects.high, effects.p)
    columns = dict(zip(("estimate", "standard_error", "low", "high", "p"), tables, strict=True))
    return {
        "topic": np.repeat(np.arange(num_topics), num_rows),
        "words": np.repeat(np.array(words, object), num_rows),
        "kind": np.tile(np.array(effects.kinds, object), num_topics),
        "effect": np.tile(np.array(effects.names, object), num_topics),
        **{name: values.T.ravel() for name, values in columns.items()},
    }
