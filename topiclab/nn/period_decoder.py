"""Decoder of a batch of documents whose topics have the words of their period."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from topiclab.data.batch import Nonzeros
from topiclab.nn.likelihood import mixture_nll, tempered_nll


@dataclass(frozen=True)
class PeriodDecoder:
    """p(w|d) = theta_d @ probs[periods[d]].

    probs: (T, K, V) word distributions.  periods: (B,) int64.
    """

    probs: Tensor
    periods: Tensor

    def decode(self, theta: Tensor) -> Tensor:
        """Log-probabilities of the words (B, V)."""
        order = torch.argsort(self.periods, stable=True)
        sizes = torch.bincount(self.periods, minlength=len(self.probs)).tolist()
        parts = theta.float()[order].split(sizes)
        mixed = torch.cat([part @ probs for part, probs in zip(parts, self.probs, strict=True)])
        return (mixed[torch.argsort(order)] + 1e-10).log()

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        """Nats (B,) of counts (n,) at the nonzeros of bow: each period has a vocabulary of its own."""
        num_periods, num_topics, num_words = self.probs.shape
        table = self.probs.transpose(0, 1).reshape(num_topics, num_periods * num_words)
        words = bow.words + num_words * self.periods[bow.docs]
        return mixture_nll(theta.float(), table, replace(bow, words=words, num_words=table.shape[1]), counts)

    def soft_nll(self, theta: Tensor, targets: Nonzeros | Tensor, temperature: float) -> Tensor:
        """Cross-entropy (B,) of targets with softmax(word logits / temperature)."""
        if temperature == 1 and isinstance(targets, Nonzeros):
            return self.bag_nll(theta, targets, targets.counts)
        return tempered_nll(self.decode(theta), targets, temperature)
