"""k-means of document vectors on the CPU: Lloyd's passes from centres refined on samples, or mini-batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from topiclab.data.unit_rows import unit_rows
from topiclab.nn.kmeans import recentre

START_ROWS = 100  # rows per cluster of the sample from which k-means++ draws
SAMPLE_GROWTH = 4  # factor from one sample to the next
SAMPLE_PASSES = 20  # maximum number of passes over a sample
SWEEP_GAIN = 1e-2  # share of the inertia that another sweep of mini-batches has to save
LAST_PASSES = 3  # passes over all rows after the mini-batches
BLOCK = 1024  # rows whose products stay in the cache


@dataclass(frozen=True, eq=False)
class Clusters:
    """Result of one k-means run with K clusters of D rows.

    centroids: (K, E) float32, of unit length if spherical.  labels: (D,) int32, the nearest centroid.
    distances: (D,) float32, squared distance of each row to its centroid; if spherical, of the row scaled to
    unit length, that is 2 - 2 cosine.  inertia: their sum.  iterations: passes over all rows or batches.
    """

    centroids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    inertia: float
    iterations: int

    @property
    def sizes(self) -> np.ndarray:
        """Number of rows of each cluster, (K,) int64."""
        return np.bincount(self.labels, minlength=len(self.centroids))


def lloyd(
    vectors: np.ndarray,
    num_clusters: int,
    *,
    seed: int,
    spherical: bool = False,
    n_init: int = 1,
    max_iter: int = 300,
    tolerance: float = 1e-4,
    batch_size: int | None = None,
) -> Clusters:
    """Best of n_init runs of k-means by inertia (Lloyd 1982; k-means++, Arthur & Vassilvitskii 2007).

    vectors: (D, E).  spherical: rows and centroids have length 1, compared by cosine (Dhillon & Modha 2001).
    The initial centres are drawn and refined on growing samples of the rows (after Bradley & Fayyad 1998), so
    that few passes over all rows remain. A cluster that loses all members takes the row that is farthest from
    its own centroid.
    tolerance: passes end once the centroids' squared movement falls to this share of the rows' variance.
    batch_size: rows of a mini-batch (Sculley 2010). Sweeps of mini-batches, at most max_iter, replace passes
    over all rows and end when one saves less than 1 % of the inertia; a few full passes follow. None: full
    passes until convergence.
    Raises ValueError for more clusters than rows and for values that are not finite.
    """
    rows = unit_rows(vectors) if spherical else _plain(vectors)
    if num_clusters > len(rows):
        raise ValueError(
            f"num_clusters={num_clusters}, but there are {len(rows)} vectors; use fewer, or more vectors"
        )
    run = _Run(torch.from_numpy(rows), num_clusters, spherical, max_iter, tolerance, batch_size)
    sequences = np.random.SeedSequence(seed).spawn(n_init)
    return min((run.fit(np.random.default_rng(part)) for part in sequences), key=lambda found: found.inertia)


def assign(vectors: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (D,) int32 and squared distances (D,) float32 of vectors (D, E) to their nearest centroids."""
    rows, centres = torch.from_numpy(_plain(vectors)), torch.from_numpy(_plain(centroids))
    labels, distances = _nearest(rows, rows.square().sum(dim=1), centres)
    return labels.numpy().astype(np.int32), distances.numpy()


@dataclass
class _Run:
    """Data and settings shared by the n_init runs of one call."""

    rows: Tensor  # (D, E)
    num_clusters: int
    spherical: bool
    max_iter: int
    tolerance: float
    batch_size: int | None

    def __post_init__(self) -> None:
        self.squares = self.rows.square().sum(dim=1)
        if not self.squares.isfinite().all():
            raise ValueError("the vectors hold values that are not finite; k-means needs finite ones")
        spread = self.squares.mean(dtype=torch.float64) - self.rows.mean(dim=0).square().sum()
        self.min_shift = self.tolerance * float(spread) / self.rows.shape[1]

    def fit(self, rng: np.random.Generator) -> Clusters:
        order = torch.from_numpy(rng.permutation(len(self.rows)))
        centres = self._start(order, rng)
        if self.batch_size is None:
            centres, iterations = self._passes(self.rows, self.squares, centres, self.max_iter)
        else:
            centres, iterations = self._batches(centres, rng)
        labels, distances = _nearest(self.rows, self.squares, centres)
        inertia = float(distances.sum(dtype=torch.float64))
        return Clusters(
            centres.numpy(), labels.numpy().astype(np.int32), distances.numpy(), inertia, iterations
        )

    def _start(self, order: Tensor, rng: np.random.Generator) -> Tensor:
        """Centres (K, E) drawn from the first sample and refined on each sample of at most half the rows.

        Mini-batches always start from refined centres.
        """
        size, centres = START_ROWS * self.num_clusters, None
        while centres is None or (2 * size <= len(self.rows) and self.batch_size is None):
            sample = self.rows[order[:size]]
            squares = sample.square().sum(dim=1)
            if centres is None:
                centres = _plus_plus(sample, squares, self.num_clusters, rng)
            if 2 * size <= len(self.rows) or self.batch_size is not None:
                centres, _ = self._passes(sample, squares, centres, SAMPLE_PASSES)
            size *= SAMPLE_GROWTH
        return centres

    def _passes(self, rows: Tensor, squares: Tensor, centres: Tensor, max_passes: int) -> tuple[Tensor, int]:
        """Run at most max_passes of Lloyd's passes; return the centres and the number of passes."""
        before = None
        for done in range(1, max_passes + 1):
            labels, distances = _nearest(rows, squares, centres)
            if before is not None and torch.equal(labels, before):
                return centres, done
            moved = self._scaled(recentre(rows, labels, distances, self.num_clusters))
            shift, before, centres = float((moved - centres).square().sum()), labels, moved
            if shift <= self.min_shift:
                return centres, done
        return centres, max_passes

    def _batches(self, centres: Tensor, rng: np.random.Generator) -> tuple[Tensor, int]:
        """Run sweeps of mini-batches; each row moves its centre by 1 / the number of rows assigned so far."""
        assert self.batch_size is not None
        means, seen = centres, torch.full((self.num_clusters, 1), float(START_ROWS))
        done, before, loss = 0, np.inf, np.inf
        while done < self.max_iter and (done < 2 or loss < before * (1 - SWEEP_GAIN)):
            done, before, loss = done + 1, loss, 0.0
            for picks in torch.from_numpy(rng.permutation(len(self.rows))).split(self.batch_size):
                batch = self.rows[picks]
                labels, distances = _nearest(batch, self.squares[picks], self._scaled(means))
                sizes = torch.bincount(labels, minlength=self.num_clusters).unsqueeze(1)
                seen = seen + sizes
                pull = torch.zeros_like(means).index_add_(0, labels, batch) - sizes * means
                means = means + pull / seen
                loss += float(distances.sum(dtype=torch.float64))
        return self._passes(self.rows, self.squares, self._scaled(means), LAST_PASSES)[0], done

    def _scaled(self, centres: Tensor) -> Tensor:
        return functional.normalize(centres, dim=1) if self.spherical else centres


def _plus_plus(rows: Tensor, squares: Tensor, num_clusters: int, rng: np.random.Generator) -> Tensor:
    """Centres (K, E) drawn from the rows by squared distance, each the best of a few draws (k-means++)."""
    num_draws = 2 + int(np.log(num_clusters))
    centres = torch.empty(num_clusters, rows.shape[1])
    centres[0] = rows[int(rng.integers(len(rows)))]
    distances = _nearest(rows, squares, centres[:1])[1]
    for place in range(1, num_clusters):
        mass = distances.double().cumsum(dim=0)
        draws = np.searchsorted(mass.numpy(), rng.random(num_draws) * float(mass[-1]))
        picks = torch.from_numpy(draws).clamp_(max=len(rows) - 1)
        reach = torch.addmm(squares[picks].unsqueeze(1), rows[picks], rows.T, alpha=-2).add_(squares)
        reach = torch.minimum(reach.clamp_(min=0), distances)
        best = int(reach.sum(dim=1).argmin())
        distances, centres[place] = reach[best], rows[picks[best]]
    return centres


def _nearest(rows: Tensor, squares: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Labels (D,) and squared distances (D,), in blocks of centres x rows, whose minimum is vectorized."""
    labels, distances = torch.empty(len(rows), dtype=torch.long), torch.empty(len(rows))
    lengths = centres.square().sum(dim=1, keepdim=True)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        scores = torch.addmm(lengths, centres, rows[part].T, alpha=-2)
        torch.min(scores, dim=0, out=(distances[part], labels[part]))
    return labels, distances.add_(squares).clamp_(min=0)


def _plain(vectors: np.ndarray) -> np.ndarray:
    """Return float32 vectors that torch accepts; a read-only memory map is copied."""
    return np.require(vectors, np.float32, ["C", "W"])
