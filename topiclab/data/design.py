"""Design: the matrix of a regression on covariates, from terms such as treatment*party."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.interpolate import BSpline

from topiclab.data.covariates import Covariate, Covariates

INTERCEPT = "(intercept)"
SPLINE_COLUMNS = 10  # of spline x, as s() of the R package stm
DEGREE = 3
FUNCTION = re.compile(r"(spline|category) +(.+)")
DEPENDENT = 1e-6  # length of the part of a unit column that the earlier ones do not span


@dataclass(frozen=True)
class Factor:
    """One covariate as columns of a design.

    kind: number (minus centre, divided by scale) | levels (one column for each level but the first) |
    category (the same, of the numbers in `values`) | spline (of `values` as knots).
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    centre: float = 0.0
    scale: float = 1.0

    def columns(self, covariate: Covariate) -> tuple[list[str], np.ndarray]:
        """Names and values (D, p) of the columns for the documents of a covariate."""
        values = covariate.values
        if self.kind == "number":
            return [self.name], ((values - self.centre) / self.scale)[:, None]
        if self.kind == "spline":
            knots = np.array(self.values)
            inside = np.clip(values, knots[0], knots[-1])  # beyond the fitted range the ends go on
            basis = BSpline.design_matrix(inside, knots, DEGREE).toarray()[:, 1:]
            return [f"spline {self.name} {number + 1}" for number in range(basis.shape[1])], basis
        if self.kind == "category":
            known = np.array(self.values)
            if (strange := ~np.isin(values, known)).any():
                raise ValueError(
                    f"covariate {self.name} is {values[strange][0]:g}, a value that the model was not fitted "
                    f"with; it knows {', '.join(f'{value:g}' for value in known[:10])}"
                )
            levels = [f"{value:g}" for value in known]
            return _dummies(self.name, levels, (values[:, None] == known).argmax(axis=1))
        return _dummies(self.name, self.levels, values)


def _dummies(name: str, levels: Sequence[str], index: np.ndarray) -> tuple[list[str], np.ndarray]:
    told = [f"{name}={level}" for level in levels[1:]]
    return told, (index[:, None] == np.arange(1, len(levels))).astype(np.float64)


@dataclass(frozen=True)
class Design:
    """The P columns of a regression on covariates: the intercept, then the columns of each term.

    terms: of factors, by their place; a term of several factors is the product of their columns.
    """

    factors: tuple[Factor, ...]
    terms: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, covariates: Covariates, terms: Sequence[str] = (), *, is_standardised: bool = True) -> Design:
        """The design of these terms for the documents of a fit.

        terms: names of covariates, spline x, category x for numbers that name classes, products such as
        a:b, and a*b for a, b and a:b; () are all covariates, without products.
        is_standardised: numbers have mean 0 and standard deviation 1 over these documents.
        A categorical covariate has a column for each level but the most frequent.
        Raises ValueError for an unknown covariate, and for columns that others determine.
        """
        every = [(name,) for name in covariates.names]
        parts = list(dict.fromkeys(part for term in terms for part in _expanded(term)) if terms else every)
        named = list(dict.fromkeys(name for part in parts for name in part))
        factors = tuple(_factor(name, covariates, is_standardised) for name in named)
        places = tuple(tuple(named.index(name) for name in part) for part in sorted(parts, key=len))
        names, matrix = _assembled(factors, places, covariates)
        _refuse_dependent(names, matrix)
        return cls(factors, places, tuple(names))

    @property
    def known(self) -> Covariates:
        """The covariates that the design reads, with their levels, of no document."""
        columns = {
            factor.name: Covariate(
                factor.name, np.zeros(0, np.int64 if factor.levels else None), factor.levels
            )
            for factor in self.factors
        }
        return Covariates(tuple(columns.values()))

    def matrix(self, covariates: Covariates) -> np.ndarray:
        """Values (D, P) float64 for these documents, with the scales and levels of the fit."""
        return _assembled(self.factors, self.terms, covariates)[1]

    def packed(self) -> np.ndarray:
        """The design as an array (n,) uint8, to be saved beside the weights of a model."""
        return np.frombuffer(json.dumps(asdict(self), allow_nan=False).encode(), np.uint8).copy()

    @classmethod
    def unpacked(cls, packed: np.ndarray) -> Design:
        """The design that `packed` gave; ValueError if it is damaged."""
        try:
            told: Any = json.loads(np.asarray(packed, np.uint8).tobytes())
            factors = tuple(
                Factor(**{**factor, "levels": tuple(factor["levels"]), "values": tuple(factor["values"])})
                for factor in told["factors"]
            )
            terms = tuple(tuple(int(place) for place in term) for term in told["terms"])
            return cls(factors, terms, tuple(map(str, told["names"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"the saved model has a damaged design ({error}); fit it again") from error


def _expanded(term: str) -> list[tuple[str, ...]]:
    """Products of names that a term stands for: a*b is a, b and a:b."""
    parts = [part.strip() for part in term.split("*")]
    if not all(piece.strip() for part in parts for piece in part.split(":")):
        raise ValueError(f"the term {term!r} is not complete; write a, a:b or a*b with names of covariates")
    found: list[tuple[str, ...]] = [()]
    for part in parts:
        names = tuple(name.strip() for name in part.split(":"))
        found += [(*before, *names) for before in found]
    return [part for part in found if part]


def _factor(written: str, covariates: Covariates, is_standardised: bool) -> Factor:
    function = None if written in covariates.names else FUNCTION.fullmatch(written)
    covariate = covariates[function[2].strip() if function else written]
    name, values = covariate.name, covariate.values
    if not covariate.is_numeric:
        if function and function[1] == "spline":
            raise ValueError(f"{written}: covariate {name} is categorical, and a spline needs numbers")
        return Factor(name, "levels", levels=covariate.levels)
    if function and function[1] == "category":
        kinds, counts = np.unique(values, return_counts=True)
        return Factor(name, "category", values=tuple(kinds[np.argsort(-counts, kind="stable")].tolist()))
    if function:
        return Factor(name, "spline", values=_knots(values, written))
    if not is_standardised:
        return Factor(name, "number")
    return Factor(name, "number", centre=float(values.mean()), scale=float(values.std()) or 1.0)


def _knots(values: np.ndarray, written: str) -> tuple[float, ...]:
    """Knots of a cubic B-spline, the inner ones at equal shares of the documents."""
    num_inner = min(SPLINE_COLUMNS, len(np.unique(values)) - 1) - DEGREE
    if num_inner < 0:
        raise ValueError(f"{written} needs at least {DEGREE + 1} different values; use a line or category")
    inner = np.unique(np.quantile(values, np.linspace(0, 1, num_inner + 2)[1:-1])) if num_inner else []
    low, high = values.min(), values.max()
    inner = [float(knot) for knot in inner if low < knot < high]
    return (*[float(low)] * (DEGREE + 1), *inner, *[float(high)] * (DEGREE + 1))


def _assembled(
    factors: Sequence[Factor], terms: Sequence[Sequence[int]], covariates: Covariates
) -> tuple[list[str], np.ndarray]:
    made = [factor.columns(covariates[factor.name]) for factor in factors]
    names, blocks = [INTERCEPT], [np.ones((len(covariates), 1))]
    for term in terms:
        told, values = made[term[0]]
        for place in term[1:]:
            more, others = made[place]
            told = [f"{one}:{other}" for one in told for other in more]
            values = (values[:, :, None] * others[:, None, :]).reshape(len(values), -1)
        names += told
        blocks.append(values)
    return names, np.concatenate(blocks, axis=1)


def _refuse_dependent(names: Sequence[str], matrix: np.ndarray) -> None:
    """Raise ValueError for a column that is constant or a sum of earlier ones."""
    if len(matrix) < len(names):
        raise ValueError(
            f"the covariates make {len(names)} columns, but there are {len(matrix)} training documents; "
            "use fewer covariates or levels"
        )
    lengths = np.linalg.norm(matrix, axis=0)
    _, triangle = np.linalg.qr(matrix / np.where(lengths > 0, lengths, 1))
    if len(bad := np.flatnonzero((np.abs(np.diag(triangle)) < DEPENDENT) | (lengths == 0))):
        raise ValueError(
            f"{names[bad[0]]} does not vary in the training documents, or follows from the other columns "
            f"({', '.join(names[: bad[0]])}); leave it out, group rare levels, or hold out no documents: "
            "data.split.val=0 data.split.test=0"
        )
