"""Neighbourhoods: preservation of the nearest neighbours of one space in another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10
TIE = 1e-6


@dataclass(frozen=True)
class Preservation:
    """Preservation of the neighbourhoods of a reference space, each measure at most 1 (perfect).

    trust: 1 if all neighbours are neighbours in the reference; continuity: 1 if all neighbours in the
    reference remain so (Venna & Kaski 2001).  overlap: share of the reference's neighbours that remain so.
    """

    trust: float
    continuity: float
    overlap: float


def cosines(rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
    """Cosines (V, W) of rows (V, E) with columns (W, E), by default the rows; 0 for a row of zeros."""
    unit = _unit(rows)
    return unit @ (unit if columns is None else _unit(columns)).T


def neighbour_ranks(similarities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank (V, V) int32 of every item by nearness to the row's own item, which has rank 0.

    Similarities that differ by less than TIE are ordered at random: items of one code are all equally near.
    """
    num = len(similarities)
    distances = TIE * rng.random((num, num), dtype=np.float32) - similarities
    np.fill_diagonal(distances, -np.inf)
    ranks = np.empty((num, num), np.int32)
    np.put_along_axis(ranks, distances.argsort(axis=1), np.arange(num, dtype=np.int32)[None], axis=1)
    return ranks


def num_neighbours(num_items: int) -> int:
    """NEIGHBOURS, or the largest number for which the measures are defined; ValueError below five items."""
    if num_items < 5:
        raise ValueError(f"neighbourhoods of {num_items} items are not defined; give at least 5")
    return min(NEIGHBOURS, (num_items - 1) // 2)


def preservation(reference: np.ndarray, ranks: np.ndarray) -> Preservation:
    """Preservation of neighbourhoods of `reference` in the space of `ranks`; both from neighbour_ranks."""
    near = num_neighbours(len(ranks))
    was_near, is_near = _is_near(reference, near), _is_near(ranks, near)
    return Preservation(
        trust=_kept(reference, is_near & ~was_near, near),
        continuity=_kept(ranks, was_near & ~is_near, near),
        overlap=float((was_near & is_near).sum() / (near * len(ranks))),
    )


def overlap(reference: np.ndarray, ranks: np.ndarray) -> float:
    """Overlap as in `preservation`, without the other measures."""
    near = num_neighbours(len(ranks))
    return float((_is_near(reference, near) & _is_near(ranks, near)).sum() / (near * len(ranks)))


def hubness(ranks: np.ndarray) -> float:
    """Skewness of the number of times an item is a neighbour of others (Radovanovic et al. 2010)."""
    return skewness(_is_near(ranks, num_neighbours(len(ranks))).sum(axis=0))


def skewness(values: np.ndarray) -> float:
    """Third standardised moment; 0 if all values are equal."""
    spread = float(values.std())
    return float(((values - values.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 1e-12, lengths, 1)


def _is_near(ranks: np.ndarray, near: int) -> np.ndarray:
    return (ranks > 0) & (ranks <= near)


def _kept(ranks: np.ndarray, is_wrong: np.ndarray, near: int) -> float:
    """1 minus the excess ranks of the wrong neighbours as a share of their maximum."""
    num = len(ranks)
    most = near * num * (2 * num - 3 * near - 1) / 2
    return float(1 - (ranks[is_wrong] - near).sum(dtype=np.int64) / most)
