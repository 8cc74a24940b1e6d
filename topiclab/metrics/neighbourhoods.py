"""Neighbourhoods: how far the items near one another in one space are near in another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10
TIE = 1e-6


@dataclass(frozen=True)
class Preservation:
    """How a space keeps the neighbourhoods of a reference space; 1 is all of them.

    trust: 1 when no item comes near that was far; continuity: 1 when none that was near goes far
    (Venna & Kaski 2001).  overlap: share of the nearest items of the reference that are kept.
    """

    trust: float
    continuity: float
    overlap: float


def cosines(rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
    """(V, W) cosine of the rows of (V, E) with those of (W, E), or one another; 0 with a row of zeros."""
    unit = _unit(rows)
    return unit @ (unit if columns is None else _unit(columns)).T


def neighbour_ranks(similarities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(V, V) int32: place of every item in the order of nearness to a row's own, which itself has 0.

    Items nearer or farther by less than TIE come in random order: those of one code are all equally near.
    """
    num = len(similarities)
    distances = TIE * rng.random((num, num), dtype=np.float32) - similarities
    np.fill_diagonal(distances, -np.inf)
    ranks = np.empty((num, num), np.int32)
    np.put_along_axis(ranks, distances.argsort(axis=1), np.arange(num, dtype=np.int32)[None], axis=1)
    return ranks


def num_neighbours(num_items: int) -> int:
    """NEIGHBOURS, or fewer where the measures would not be defined; ValueError below five items."""
    if num_items < 5:
        raise ValueError(f"neighbourhoods of {num_items} items say nothing; give at least 5")
    return min(NEIGHBOURS, (num_items - 1) // 2)


def preservation(reference: np.ndarray, ranks: np.ndarray) -> Preservation:
    """Of the neighbourhoods of `reference` in the space of `ranks`; both from neighbour_ranks."""
    near = num_neighbours(len(ranks))
    was_near, is_near = _is_near(reference, near), _is_near(ranks, near)
    return Preservation(
        trust=_kept(reference, is_near & ~was_near, near),
        continuity=_kept(ranks, was_near & ~is_near, near),
        overlap=float((was_near & is_near).sum() / (near * len(ranks))),
    )


def overlap(reference: np.ndarray, ranks: np.ndarray) -> float:
    """The overlap of `preservation` alone."""
    near = num_neighbours(len(ranks))
    return float((_is_near(reference, near) & _is_near(ranks, near)).sum() / (near * len(ranks)))


def hubness(ranks: np.ndarray) -> float:
    """Skewness of how often an item is among the nearest of others (Radovanovic et al. 2010)."""
    return skewness(_is_near(ranks, num_neighbours(len(ranks))).sum(axis=0))


def skewness(values: np.ndarray) -> float:
    """Third standardised moment; 0 where all values are the same."""
    spread = float(values.std())
    return float(((values - values.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 1e-12, lengths, 1)


def _is_near(ranks: np.ndarray, near: int) -> np.ndarray:
    return (ranks > 0) & (ranks <= near)


def _kept(ranks: np.ndarray, is_wrong: np.ndarray, near: int) -> float:
    """1 minus the excess ranks of the wrong neighbours, as a share of the most there could be."""
    num = len(ranks)
    most = near * num * (2 * num - 3 * near - 1) / 2
    return float(1 - (ranks[is_wrong] - near).sum(dtype=np.int64) / most)
