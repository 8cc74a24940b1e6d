"""The word decoder of TVQ-VAE: a product of experts that an MLP computes from topics over a codebook."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.nn.product_of_experts import ProductOfExperts

MIN_DIRECTION = 1e-4  # of the centred hidden layer over topics, relative to the largest


class CodebookExperts(ProductOfExperts):
    """Weight (K, V) = BN_K(alpha(e)), where e_k is the unit vector of beta_k @ codebook (Yoo & Choi 2024).

    alpha: linear layers with tanh between.  has_topic_norm: standardise every word over the K topics, always
    with their current statistics, since every batch holds the same K topics: no word is high in all topics.
    The norm over documents removes the same mean and spread, so the likelihood differs only through eps.
    has_shift: learn a bias for each word and each code, which models its frequency.
    codes: the product of experts over the N codes, whose weight is beta (K, N).
    codebook: (N, d) unit rows.
    """

    codebook: Tensor

    def __init__(
        self,
        num_topics: int,
        num_words: int,
        *,
        num_codes: int,
        code_dim: int,
        hidden_dims: Sequence[int],
        has_topic_norm: bool,
        has_shift: bool,
        eps: float,
        momentum: float,
    ) -> None:
        super().__init__(num_topics, num_words, eps, momentum, has_shift)
        self.codes = ProductOfExperts(num_topics, num_codes, eps, momentum, has_shift)
        self.has_topic_norm = has_topic_norm
        layers: list[nn.Module] = []
        for width, following in pairwise([code_dim, *hidden_dims]):
            layers += [nn.Linear(width, following), nn.Tanh()]
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Linear(hidden_dims[-1], num_words)
        self.register_buffer("codebook", torch.zeros(num_codes, code_dim))

    def make_weight(self, num_topics: int, num_words: int) -> None:
        """Do nothing: the weight is computed, not learned."""

    def set_codebook(self, vectors: Tensor) -> None:
        """Set the codebook to vectors (N, d), scaled to unit length."""
        self.codebook.copy_(F.normalize(vectors, dim=1))

    def topics(self) -> Tensor:
        """Return the unit vectors (K, d) of the topics in the space of the codes."""
        return F.normalize(self.codes.weight @ self.codebook, dim=1)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        words = self.last(self.hidden(self.topics()))
        return standardize_columns(words, self.eps) if self.has_topic_norm else words

    @torch.no_grad()
    def start(self, code_logits: Tensor, word_logits: Tensor) -> None:
        """Set beta to code_logits (K, N) and alpha's last layer so that it yields word_logits (K, V).

        Least squares of minimum norm: exact if the centred last hidden layer has rank K - 1.
        """
        self.codes.weight.copy_(code_logits)
        hidden = self.hidden(self.topics()).double()
        target = standardize_columns(word_logits.double(), self.eps) if self.has_topic_norm else word_logits
        mean = hidden.mean(dim=0)
        solution = torch.linalg.pinv(hidden - mean, rtol=MIN_DIRECTION) @ target.double()
        self.last.weight.copy_(solution.T)
        self.last.bias.copy_(target.mean(dim=0) - mean @ solution)


def standardize_columns(values: Tensor, eps: float) -> Tensor:
    """Scale every column to mean 0 and variance 1 (biased, plus eps) over the rows."""
    centred = values - values.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + eps).rsqrt()
