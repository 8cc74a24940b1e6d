"""The decoder of a mixture: words drawn from theta @ beta."""

from __future__ import annotations

from torch import Tensor

from topiclab.data.batch import Nonzeros
from topiclab.nn.likelihood import mixture_nll, tempered_nll


class Mixture:
    """Decoder interface of p(w|d) = theta @ beta, for one beta (K, V) that is costly to compute."""

    def __init__(self, beta: Tensor) -> None:
        self.beta = beta

    def decode(self, theta: Tensor) -> Tensor:
        """Word logits (B, V): log-probabilities."""
        return (theta @ self.beta + 1e-10).log()

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        """Nats (B,) of counts (n,) at the nonzeros of bow, without a B x V product."""
        return mixture_nll(theta, self.beta, bow, counts)

    def soft_nll(self, theta: Tensor, targets: Nonzeros | Tensor, temperature: float) -> Tensor:
        """Cross-entropy (B,) of targets with the tempered mixture.

        Forms B x V unless the targets are nonzeros and the temperature is 1.
        """
        if temperature == 1 and isinstance(targets, Nonzeros):
            return self.bag_nll(theta, targets, targets.counts)
        return tempered_nll(self.decode(theta), targets, temperature)
