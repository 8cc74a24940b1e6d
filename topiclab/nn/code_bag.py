"""CodeBag: bags of words turned into bags of the codes that their words stand for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from topiclab.data.batch import Nonzeros


class CodeBag(nn.Module):
    """x = bow @ C for the codes C (V, N) of the words, K of them a word, each with a weight.

    codes: (V, K) int64, nearest first.  weights: (V, K) float32; both are kept with the model, so that unseen
    documents need no vectors of words.
    """

    codes: Tensor
    weights: Tensor

    def __init__(self, num_words: int, num_codes: int, expansion: int) -> None:
        super().__init__()
        self.num_codes = num_codes
        self.register_buffer("codes", torch.zeros(num_words, expansion, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(num_words, expansion))

    def set_words(self, codes: Tensor, weights: Tensor) -> None:
        """codes: (V, K).  weights: (V, K)."""
        self.codes.copy_(codes)
        self.weights.copy_(weights)

    def forward(self, bow: Nonzeros) -> Tensor:
        """(B, N); costs K additions a nonzero."""
        masses = bow.counts.unsqueeze(1) * self.weights[bow.words]
        return dense_bag(bow, self.codes[bow.words], masses, self.num_codes)

    def spread(self, words: Tensor) -> Tensor:
        """Distributions of words (M, V) as distributions of codes (M, N)."""
        shares = self.weights / self.weights.sum(dim=1, keepdim=True).clamp(min=1e-30)
        table = words.new_zeros(len(self.codes), self.num_codes).scatter_add_(1, self.codes, shares.to(words))
        return words @ table


def dense_bag(bow: Nonzeros, codes: Tensor, masses: Tensor, num_codes: int) -> Tensor:
    """(B, N) from the codes (n, K) that each nonzero of the documents has, and how much of each, (n, K)."""
    num_docs = len(bow.lengths)
    places = bow.docs.unsqueeze(1) * num_codes + codes
    bag = masses.new_zeros(num_docs * num_codes).index_add_(0, places.view(-1), masses.view(-1))
    return bag.view(num_docs, num_codes)
