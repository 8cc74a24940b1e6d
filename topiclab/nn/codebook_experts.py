"""The word decoder of TVQ-VAE: a product of experts that an MLP reads off topics over a codebook."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.nn.product_of_experts import ProductOfExperts

MIN_DIRECTION = 1e-4  # of the hidden layer's spread over topics, as a share of the largest


class CodebookExperts(ProductOfExperts):
    """Weight (K, V) = BN_K(alpha(e)), e_k the unit vector of beta_k @ codebook (Yoo & Choi 2024).

    alpha: linear layers with tanh between.  has_topic_norm: standardise every word over the K topics, with
    their own statistics at all times, since the same K topics come every time: no word is high in all topics.
    The norm over documents takes out the same mean and spread, so the likelihood differs by eps alone.
    has_shift: learn what words, and codes, add to every logit, which stands for their frequency.
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
        super().__init__(num_topics, num_words, eps, momentum)
        self.codes = ProductOfExperts(num_topics, num_codes, eps, momentum)
        self.has_topic_norm = has_topic_norm
        layers: list[nn.Module] = []
        for width, following in pairwise([code_dim, *hidden_dims]):
            layers += [nn.Linear(width, following), nn.Tanh()]
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Linear(hidden_dims[-1], num_words)
        for experts in (self, self.codes):
            experts.bias.requires_grad_(has_shift)
        self.register_buffer("codebook", torch.zeros(num_codes, code_dim))

    def make_weight(self, num_topics: int, num_words: int) -> None:
        """The weight is computed."""

    def set_codebook(self, vectors: Tensor) -> None:
        """vectors: (N, d)."""
        self.codebook.copy_(F.normalize(vectors, dim=1))

    def topics(self) -> Tensor:
        """Unit vectors (K, d) of the topics in the space of the codes."""
        return F.normalize(self.codes.weight @ self.codebook, dim=1)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        words = self.last(self.hidden(self.topics()))
        return standardize_columns(words, self.eps) if self.has_topic_norm else words

    @torch.no_grad()
    def start(self, code_logits: Tensor, word_logits: Tensor) -> None:
        """Set beta to code_logits (K, N), and alpha's last layer to what gives word_logits (K, V) from there.

        Least squares with the smallest weights: exact while K - 1 directions of the last hidden layer differ.
        """
        self.codes.weight.copy_(code_logits)
        hidden = self.hidden(self.topics()).double()
        target = standardize_columns(word_logits.double(), self.eps) if self.has_topic_norm else word_logits
        mean = hidden.mean(dim=0)
        solution = torch.linalg.pinv(hidden - mean, rtol=MIN_DIRECTION) @ target.double()
        self.last.weight.copy_(solution.T)
        self.last.bias.copy_(target.mean(dim=0) - mean @ solution)


def standardize_columns(values: Tensor, eps: float) -> Tensor:
    """Mean 0 and variance 1 (biased, plus eps) of every column over the rows."""
    centred = values - values.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + eps).rsqrt()
