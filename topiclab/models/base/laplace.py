"""Laplace approximation to logistic-normal posteriors of documents, in blocks of documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

BLOCK_CELLS = 1 << 19  # documents x words x topics held at once, float64
MAX_STEPS = 100
MAX_HALVINGS = 20
ARMIJO = 1e-4


@dataclass(frozen=True)
class Block:
    """B documents of similar length, padded to L different words.

    rows: (B,) of the matrix.  words: (B, L) int64, 0 in the padding.  counts: (B, L) float64, 0 there.
    places: (B, L) of its nonzeros.  is_word: (B, L), False in the padding.
    """

    rows: np.ndarray
    places: np.ndarray
    is_word: np.ndarray
    words: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Prior:
    """N(mu_d, sigma) of the K - 1 free topic logits; the last topic's logit is 0.  precision: of sigma."""

    sigma: Tensor
    precision: Tensor
    logdet: float

    @classmethod
    def of(cls, sigma: np.ndarray) -> Prior:
        """The prior of a covariance (K - 1, K - 1)."""
        matrix = torch.from_numpy(np.array(sigma, np.float64))
        root = torch.linalg.cholesky(matrix)
        return cls(matrix, torch.cholesky_inverse(root), float(2 * root.diagonal().log().sum()))


@dataclass(frozen=True)
class Posteriors:
    """N(eta_d, (root_d root_d^T)^-1) of B documents.

    eta: (B, K - 1) modes.  root: (B, K - 1, K - 1), lower, of the negative Hessian there.
    bound: (B,) nats, the Laplace approximation to log p(words).
    ratios: (B, L) counts by probabilities of the words: times theta_k beta_k, tokens of topic k.
    """

    eta: Tensor
    root: Tensor
    bound: Tensor
    ratios: Tensor

    @property
    def covariance(self) -> Tensor:
        return torch.cholesky_inverse(self.root)

    def theta(self) -> Tensor:
        """Proportions (B, K) at the modes."""
        return proportions(self.eta)

    def draws(self, noise: Tensor) -> Tensor:
        """Proportions (S, B, K) of S draws; noise: (S, B, K - 1) standard normal."""
        shift = torch.linalg.solve_triangular(self.root.mT, noise.permute(1, 2, 0), upper=True)
        return proportions(self.eta + shift.permute(2, 0, 1))


def proportions(eta: Tensor) -> Tensor:
    """softmax of the logits (..., K - 1) with a last one of 0."""
    return torch.nn.functional.pad(eta, (0, 1)).softmax(dim=-1)


def blocks_of(bow: sparse.csr_matrix, num_topics: int) -> Iterator[Block]:
    """Blocks that cover the documents of bow (D, V), the longest first."""
    lengths = np.diff(bow.indptr)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        width = max(int(lengths[order[start]]), 1)
        rows = order[start : start + max(1, BLOCK_CELLS // (width * num_topics))]
        start += len(rows)
        places = bow.indptr[rows][:, None] + np.arange(width)
        is_word = np.arange(width) < lengths[rows][:, None]
        inside = np.where(is_word, places, 0)
        if bow.nnz:
            words = np.where(is_word, bow.indices[inside], 0)
            counts = np.where(is_word, bow.data[inside], 0)
        else:
            words = counts = np.zeros(inside.shape)
        tensors = torch.from_numpy(words.astype(np.int64)), torch.from_numpy(counts.astype(np.float64))
        yield Block(rows, places, is_word, *tensors)


@dataclass(frozen=True)
class _Curve:
    """Log joint of the documents at eta, its gradient and negative Hessian, and what they are made of."""

    weights: Tensor  # (B, L, K) word probabilities
    counts: Tensor
    mu: Tensor
    prior: Prior

    def probs(self, theta: Tensor) -> Tensor:
        """Probability of each word (B, L)."""
        return torch.bmm(self.weights, theta[:, :, None]).squeeze(2)

    def value(self, eta: Tensor) -> Tensor:
        """(B,) nats: words given eta, and eta under the prior without its constant."""
        gap = eta - self.mu
        fit = (self.counts * self.probs(proportions(eta)).log()).sum(1)
        return fit - 0.5 * ((gap @ self.prior.precision) * gap).sum(1)

    def slopes(self, eta: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient (B, K - 1) and lower root of the negative Hessian.

        Where the negative Hessian is not positive definite, away from a maximum, its root is that of the part
        that always is: without the uncertainty of the words' topics.
        """
        theta, total = proportions(eta), self.counts.sum(1, keepdim=True)
        probs = self.probs(theta)
        of_topic = theta * torch.bmm(self.weights.mT, (self.counts / probs)[:, :, None]).squeeze(2)
        gradient = (of_topic - total * theta)[:, :-1] - (eta - self.mu) @ self.prior.precision
        free = theta[:, :-1]
        pairs = free[:, :, None] * free[:, None, :]
        fixed = torch.diag_embed(total * free) - total[:, :, None] * pairs + self.prior.precision
        scaled = self.weights * (self.counts.sqrt() / probs)[:, :, None]
        inner = torch.bmm(scaled.mT, scaled)[:, :-1, :-1] * pairs - torch.diag_embed(of_topic[:, :-1])
        root, fault = torch.linalg.cholesky_ex(fixed + inner)
        if fault.any():
            bad = fault > 0
            root[bad] = torch.linalg.cholesky(fixed[bad])
        return gradient, root

    def at(self, rows: Tensor) -> _Curve:
        return _Curve(self.weights[rows], self.counts[rows], self.mu[rows], self.prior)


def posteriors(
    block: Block, word_probs: Tensor, mu: Tensor, prior: Prior, start: Tensor, tolerance: float
) -> Posteriors:
    """Modes of the documents of a block by Newton's method with backtracking, and the curvature there.

    word_probs: (V, K), beta transposed.  mu, start: (B, K - 1).  tolerance: nats that a step must promise.
    """
    whole = _Curve(word_probs[block.words], block.counts, mu, prior)
    eta, root = start.clone(), start.new_zeros((*start.shape, start.shape[1]))
    rows, curve = torch.arange(len(eta)), whole
    for _ in range(MAX_STEPS):
        gradient, roots = curve.slopes(eta[rows])
        root[rows] = roots
        step = torch.cholesky_solve(gradient[:, :, None], roots).squeeze(2)
        promised = (gradient * step).sum(1)
        is_open = promised > tolerance
        if not is_open.any():
            break
        if not is_open.all():
            rows, curve = rows[is_open], curve.at(is_open)
            step, promised = step[is_open], promised[is_open]
        eta[rows] += _shortened(curve, eta[rows], step, promised)
    logdets = root.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * prior.logdet
    return Posteriors(eta, root, whole.value(eta) - logdets, block.counts / whole.probs(proportions(eta)))


def _shortened(curve: _Curve, eta: Tensor, step: Tensor, promised: Tensor) -> Tensor:
    """The steps (B, K - 1), each halved until it raises the value by a part of what it promised."""
    least, kept = curve.value(eta), torch.ones_like(promised)
    for _ in range(MAX_HALVINGS):
        is_short = curve.value(eta + kept[:, None] * step) < least + ARMIJO * kept * promised
        if not is_short.any():
            return kept[:, None] * step
        kept = torch.where(is_short, kept / 2, kept)
    return torch.where(kept > 0.5**MAX_HALVINGS, kept, 0)[:, None] * step
