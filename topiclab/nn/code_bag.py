"""CodeBag: bags of words converted to bags of the codes assigned to their words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from topiclab.data.batch import Nonzeros


class CodeBag(nn.Module):
    """x = bow @ C, where C (V, N) holds the weights of the K codes of each word.

    codes: (V, K) int64, nearest first.  weights: (V, K) float32.  Both are saved with the model, so that
    unseen documents need no word vectors.
    """

    codes: Tensor
    weights: Tensor

    def __init__(self, num_words: int, num_codes: int, expansion: int) -> None:
        super().__init__()
        self.num_codes = num_codes
        self.register_buffer("codes", torch.zeros(num_words, expansion, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(num_words, expansion))

    def set_words(self, codes: Tensor, weights: Tensor) -> None:
        """Set the codes (V, K) and weights (V, K) of all words."""
        self.codes.copy_(codes)
        self.weights.copy_(weights)

    def forward(self, bow: Nonzeros) -> Tensor:
        """Return the bag of codes (B, N); costs K additions per nonzero."""
        masses = bow.counts.unsqueeze(1) * self.weights[bow.words]
        return dense_bag(bow, self.codes[bow.words], masses, self.num_codes)

    def spread(self, words: Tensor) -> Tensor:
        """Map distributions over words (M, V) to distributions over codes (M, N)."""
        shares = self.weights / self.weights.sum(dim=1, keepdim=True).clamp(min=1e-30)
        table = words.new_zeros(len(self.codes), self.num_codes).scatter_add_(1, self.codes, shares.to(words))
        return words @ table


def dense_bag(bow: Nonzeros, codes: Tensor, masses: Tensor, num_codes: int) -> Tensor:
    """Bag of codes (B, N) from the codes (n, K) of each nonzero of the documents and their masses (n, K)."""
    num_docs = len(bow.lengths)
    places = bow.docs.unsqueeze(1) * num_codes + codes
    bag = masses.new_zeros(num_docs * num_codes).index_add_(0, places.view(-1), masses.view(-1))
    return bag.view(num_docs, num_codes)
