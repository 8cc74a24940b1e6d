"""Vector quantisation: vectors are mapped to their nearest codes, and the codes learn to follow the vectors.

One code per vector is VQ-VAE (van den Oord et al. 2017); several are the multi-hot expansion of TVQ-VAE
(Yoo & Choi 2024), whose quantised vector is the mean of the nearest codes, or their sum as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from topiclab.nn.kmeans import kmeans, nearest

SMOOTHING = 1e-5  # of the counts, in units of vectors per batch
HITS_DECAY = 0.9  # of the running hits that show dead codes: those unused for about 30 batches
ENOUGH_HITS = 5.0  # hits per batch and code from which restart_below applies unscaled
MAX_START_VECTORS = 64  # per code, in the sample for the initial k-means


@dataclass(frozen=True)
class Quantized:
    """Quantised vectors and their codes.

    vectors: (M, d), whose gradient passes straight to the input.  codes: (M, K) int64, nearest first.
    loss: scalar that pulls vectors and codes together.
    """

    vectors: Tensor
    codes: Tensor
    loss: Tensor


class QuantizerOptions(TypedDict, total=False):
    """Keyword arguments of VectorQuantizer that a codebook of images sets."""

    update: str
    decay: float
    commitment: float
    restart_below: float
    init: str


class VectorQuantizer(nn.Module):
    """Maps each vector to its nearest codes; the codebook (N, d) follows the vectors.

    num_codes: N.  dim: d.  expansion: K, nearest codes kept per vector.
    reduce: the quantised vector is the `mean` or the `sum` (published) of the K codes; identical for K = 1.
    code_weights: weights of the K codes, of sum K: `binary` (all 1), `inverse_distance`, or `softmax` of the
        negative squared distances divided by their mean.
    update: `ema`, running means of the vectors assigned to a code (divided by K for `sum`); `gradient`
        (published), through the loss.
    is_cosine: vectors and codes are scaled to length 1 first.
    decay: of the running means.  commitment: weight of the loss that draws vectors to their codes.
    restart_below: a code with fewer hits per batch (a running mean) is moved to a random vector of the batch;
        scaled down where a batch has fewer than five hits per code, since chance misses many codes. 0: never.
    init: `kmeans` of the first vectors seen, or `uniform` in +-init_scale.
    Under torch.distributed every rank holds the same codebook: hits and sums are added over ranks, random
    picks are those of rank 0. Distances, sums and codebook are float32 even under autocast.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    hits: Tensor
    is_started: Tensor

    def __init__(
        self,
        num_codes: int,
        dim: int,
        *,
        expansion: int = 1,
        reduce: str = "mean",
        code_weights: str = "binary",
        update: str = "ema",
        is_cosine: bool = False,
        decay: float = 0.99,
        commitment: float = 0.25,
        restart_below: float = 0.5,
        init: str = "kmeans",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        check_expansion(expansion, num_codes)
        self.num_codes, self.dim, self.expansion = num_codes, dim, expansion
        self.reduce, self.code_weights, self.update, self.is_cosine = reduce, code_weights, update, is_cosine
        self.decay, self.commitment, self.restart_below = decay, commitment, restart_below
        codes = torch.empty(num_codes, dim).uniform_(-init_scale, init_scale)
        codes = F.normalize(codes, dim=1) if is_cosine else codes
        if update == "gradient":
            self.codebook = nn.Parameter(codes)
        else:
            self.register_buffer("codebook", codes)
            self.register_buffer("counts", torch.ones(num_codes))
            self.register_buffer("sums", codes.clone())
        self.register_buffer("hits", torch.ones(num_codes))
        self.register_buffer("is_started", torch.tensor(init == "uniform"))
        self._needs_start: bool | None = None  # so that is_started is read from the device only once
        self._epoch_hits: Tensor | None = None

    def forward(self, z: Tensor, weights: Tensor | None = None) -> Quantized:
        """Quantise z (M, d); weights (M,): weight of each vector, 1 on average.

        In training mode the first vectors initialize the codebook, which then follows every batch.
        """
        with torch.autocast(z.device.type, enabled=False):
            z = self._scaled(z.float())
            if self.training:
                self._start(z.detach())
            codes, code_weights = self._nearest(z.detach(), self.expansion)
            vectors = self.vectors_of(codes, code_weights)
            loss = self.commitment * _mean_square(z - vectors.detach(), weights)
            if self.update == "gradient":
                loss = loss + _mean_square(vectors - z.detach(), weights)
            hits = self._count(codes, weights)
            if self.training:
                self._follow(z.detach(), codes, code_weights, hits, weights)
            return Quantized(z + (vectors - z).detach(), codes, loss)

    @torch.no_grad()
    def assign(self, z: Tensor, expansion: int | None = None) -> tuple[Tensor, Tensor]:
        """Codes (M, K) int64, nearest first, and their weights (M, K) float32, which sum to K per vector."""
        expansion = self.expansion if expansion is None else expansion
        check_expansion(expansion, self.num_codes)
        return self._nearest(self._scaled(z.float()), expansion)

    def vectors_of(self, codes: Tensor, code_weights: Tensor | None = None) -> Tensor:
        """Quantised vectors (M, d) from codes (M, K) and their weights (M, K), all 1 by default."""
        table = self._scaled(self.codebook)
        if codes.shape[1] == 1:
            return F.embedding(codes[:, 0], table)
        weights = torch.ones_like(codes, dtype=table.dtype) if code_weights is None else code_weights
        if self.reduce == "mean":
            weights = weights / codes.shape[1]
        return F.embedding_bag(codes, table, mode="sum", per_sample_weights=weights)

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Set the codes to the k-means centres of z (M, d), or of a random sample that is large enough."""
        picks = torch.randperm(len(z), device=z.device)[: MAX_START_VECTORS * self.num_codes]
        centres = self._scaled(self._share * kmeans(self._scaled(z[picks].float()), self.num_codes))
        self._place(torch.ones_like(self.hits, dtype=torch.bool), _from_first_rank(centres))
        self.is_started.fill_(True)
        self._needs_start = False

    @torch.no_grad()
    def statistics(self) -> dict[str, float]:
        """Usage and perplexity of the codes since the last reset, over all ranks; every rank has to call it.

        usage: share of the codes with hits.  perplexity: exp of the entropy of the hits, in 1..N for any K.
        """
        if self._epoch_hits is None:
            return {"usage": 0.0, "perplexity": 0.0}
        hits = _sum_over_ranks(self._epoch_hits.clone())
        shares = hits / hits.sum().clamp(min=1e-30)
        entropy = -torch.xlogy(shares, shares).sum()
        return {"usage": (hits > 0).double().mean().item(), "perplexity": entropy.exp().item()}

    def reset_statistics(self) -> None:
        self._epoch_hits = None

    @property
    def _share(self) -> float:
        """Share of a vector that each of its codes represents."""
        return 1 / self.expansion if self.reduce == "sum" else 1.0

    def _scaled(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=1) if self.is_cosine else vectors

    def _nearest(self, z: Tensor, expansion: int) -> tuple[Tensor, Tensor]:
        codes, distances = nearest(z, self._scaled(self.codebook.detach()), expansion)
        if self.code_weights == "binary" or expansion == 1:
            return codes, torch.ones_like(distances)
        if self.code_weights == "softmax":
            shares = (-distances / distances.mean(dim=1, keepdim=True).clamp(min=1e-12)).softmax(dim=1)
        else:
            closeness = 1 / distances.sqrt().clamp(min=1e-6)
            shares = closeness / closeness.sum(dim=1, keepdim=True)
        return codes, shares * expansion

    def _start(self, z: Tensor) -> None:
        if self._needs_start is None:
            self._needs_start = not self.is_started.item()
        if self._needs_start:
            self.start(z)

    @torch.no_grad()
    def _count(self, codes: Tensor, weights: Tensor | None) -> Tensor:
        """Return the hits (N,) of these codes and add them to those of the epoch."""
        each = self.hits.new_ones(len(codes)) if weights is None else weights.float()
        repeated = each.unsqueeze(1).expand(codes.shape).flatten()
        hits = torch.zeros_like(self.hits).scatter_add_(0, codes.flatten(), repeated)
        self._epoch_hits = hits if self._epoch_hits is None else self._epoch_hits + hits
        return hits

    @torch.no_grad()
    def _follow(
        self, z: Tensor, codes: Tensor, code_weights: Tensor, hits: Tensor, weights: Tensor | None
    ) -> None:
        """Update the running means and restart dead codes.

        A code is the mean of all vectors assigned to it, for K > 1 too: a least-squares step on the quantised
        vectors lowers the error further, but drives codes away from the data, where `nearest` means nothing.
        """
        share = self._share
        self.hits.lerp_(_sum_over_ranks(hits), 1 - HITS_DECAY)
        if self.update == "ema":
            served = code_weights if weights is None else code_weights * weights.float().unsqueeze(1)
            members = z.new_zeros(len(z), self.num_codes).scatter_(1, codes, served)
            self.counts.lerp_(_sum_over_ranks(members.sum(dim=0)), 1 - self.decay)
            self.sums.lerp_(_sum_over_ranks(members.T @ (share * z)), 1 - self.decay)
            total = self.counts.sum()
            smooth = (self.counts + SMOOTHING) / (total + self.num_codes * SMOOTHING) * total
            self.codebook.copy_(self._scaled(self.sums / smooth.unsqueeze(1)))
        if self.restart_below:
            expected = self.hits.mean()
            threshold = self.restart_below * (expected / ENOUGH_HITS).clamp(max=1)
            picks = torch.randint(len(z), (self.num_codes,), device=z.device)
            self._place(
                self.hits < threshold, _from_first_rank(self._scaled(share * z[picks])), 2 * threshold
            )

    def _place(self, which: Tensor, vectors: Tensor, hits: Tensor | float = 1.0) -> None:
        """Set the codes of a mask (N,) to vectors (N, d), with `hits` as their running hits per batch."""
        column = which.unsqueeze(1)
        self.codebook.data.copy_(torch.where(column, vectors, self.codebook.data))
        self.hits.copy_(torch.where(which, torch.as_tensor(hits).to(self.hits), self.hits))
        if self.update == "ema":
            self.sums.copy_(torch.where(column, vectors, self.sums))
            self.counts.masked_fill_(which, 1.0)


def check_expansion(expansion: int, num_codes: int) -> None:
    """Raise ValueError if expansion exceeds num_codes."""
    if expansion > num_codes:
        raise ValueError(
            f"expansion={expansion} asks for more codes per vector than the codebook has; give at most "
            f"num_codes={num_codes}"
        )


def _mean_square(difference: Tensor, weights: Tensor | None) -> Tensor:
    squares = difference.square().mean(dim=1)
    return squares.mean() if weights is None else (squares * weights).mean()


def _sum_over_ranks(tensor: Tensor) -> Tensor:
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(tensor)
    return tensor


def _from_first_rank(tensor: Tensor) -> Tensor:
    if distributed.is_available() and distributed.is_initialized():
        tensor = tensor.contiguous()
        distributed.broadcast(tensor, src=0)
    return tensor
