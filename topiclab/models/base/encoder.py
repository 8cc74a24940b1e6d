"""Encoder of the logistic-normal topic models: document vector or bag of words -> posterior of the topic
logits."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.data.batch import Batch, Nonzeros
from topiclab.limits import Positive, Share, Sizes, Unit
from topiclab.nn.dropout import Dropout

ACTIVATIONS = {
    "relu": nn.ReLU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "leakyrelu": nn.LeakyReLU,
}


class BowLinear(nn.Module):
    """Linear layer on sparse counts (B, V): sums the rows of the words that occur, without a dense bag."""

    def __init__(self, num_words: int, width: int) -> None:
        super().__init__()
        dense = nn.Linear(num_words, width)
        self.weight = nn.Parameter(dense.weight.detach().T.contiguous())
        self.bias = nn.Parameter(dense.bias.detach())

    def forward(self, bow: Nonzeros) -> Tensor:
        product = _SparseProduct.apply(self.weight, bow.counts, bow.words, bow.docs, bow.offsets)
        return cast(Tensor, product) + self.bias


class _SparseProduct(torch.autograd.Function):
    """counts (B, V) @ weight (V, H) from nonzeros; forward and backward both cost nonzeros x H."""

    @staticmethod
    def forward(ctx, weight, counts, words, docs, offsets):  # type: ignore[override]
        ctx.save_for_backward(counts, words, docs)
        ctx.num_words = len(weight)
        return F.embedding_bag(
            words, weight, offsets[:-1], mode="sum", per_sample_weights=counts.to(weight.dtype)
        )

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        counts, words, docs = ctx.saved_tensors
        places = torch.stack((words, docs))
        transposed = torch.sparse_coo_tensor(
            places, counts, (ctx.num_words, len(grad)), check_invariants=False
        )
        return transposed @ grad.float(), None, None, None, None


class Standardize(nn.Module):
    """Per-dimension (x - mean) / std with statistics of the training documents, kept in the checkpoint."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, vectors: Tensor) -> None:
        """Estimate mean and std from vectors (N, E); a dimension of zero variance is only centred."""
        std = vectors.std(dim=0, correction=0)
        self.mean.copy_(vectors.mean(dim=0))
        self.std.copy_(torch.where(std > 1e-8, std, torch.ones_like(std)))

    def forward(self, vectors: Tensor) -> Tensor:
        return (vectors - self.mean) / self.std


def unit_batch_norm(size: int, eps: float, momentum: float) -> nn.BatchNorm1d:
    """Batch normalisation with a learned shift and a scale fixed at 1 (Srivastava & Sutton 2017)."""
    norm = nn.BatchNorm1d(size, eps=eps, momentum=momentum)
    norm.weight.requires_grad_(False)
    return norm


class Encoder(nn.Module):
    """Hidden layers (linear, batch norm, activation, dropout), then linear heads for mean and log-variance.

    reads: `embeddings` (B, E), standardised; `bow`, raw counts; or `both`, summing their first layers.
    dropout applies after the last hidden layer, inner_dropout after the earlier ones.
    """

    def __init__(
        self,
        *,
        reads: Literal["embeddings", "bow", "both"],
        num_topics: int,
        num_words: int,
        embedding_dim: int,
        hidden_dims: Sizes,
        activation: Literal["relu", "softplus", "gelu", "tanh", "leakyrelu"],
        dropout: Share,
        inner_dropout: Share,
        hidden_batch_norm: bool,
        head_batch_norm: bool,
        batch_norm_eps: Positive,
        batch_norm_momentum: Unit,
    ) -> None:
        super().__init__()
        self.reads = reads
        self.standardize = None if reads == "bow" else Standardize(embedding_dim)
        self.first = (
            BowLinear(num_words, hidden_dims[0])
            if self.standardize is None
            else nn.Linear(embedding_dim, hidden_dims[0])
        )
        self.bow_first = BowLinear(num_words, hidden_dims[0]) if reads == "both" else None
        layers: list[nn.Module] = []
        for index, size in enumerate(hidden_dims):
            if index:
                layers += [Dropout(inner_dropout), nn.Linear(hidden_dims[index - 1], size)]
            if hidden_batch_norm:
                layers.append(nn.BatchNorm1d(size))
            layers.append(ACTIVATIONS[activation]())
        self.trunk = nn.Sequential(*layers, Dropout(dropout))
        self.heads = nn.Linear(hidden_dims[-1], 2 * num_topics)  # mean and log-variance in one product
        norm = unit_batch_norm(2 * num_topics, batch_norm_eps, batch_norm_momentum)
        self.head_norm = norm if head_batch_norm else nn.Identity()

    @torch.no_grad()
    def set_logvar(self, value: float) -> None:
        """Set the log-variance to this value for every document."""
        num_topics = len(self.heads.bias) // 2
        self.heads.weight[num_topics:] = 0
        self.heads.bias[num_topics:] = value

    def hidden(self, batch: Batch) -> Tensor:
        if self.standardize is None:
            return self.trunk(self.first(batch.bow))
        if batch.embeddings is None:
            raise ValueError(
                f"model.encoder.reads={self.reads}, but the documents have no embeddings; choose an "
                "embedder, e.g. embedder=lsa"
            )
        first = self.first(self.standardize(batch.embeddings))
        return self.trunk(first if self.bow_first is None else first + self.bow_first(batch.bow))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Posterior mean and log-variance (B, K)."""
        mu, logvar = self.head_norm(self.heads(self.hidden(batch))).float().chunk(2, dim=1)
        return mu, logvar
