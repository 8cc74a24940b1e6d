"""Objectives: what the decoder is asked to predict, as nats per document."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from topiclab.data.batch import Batch, Nonzeros


class Decoder(Protocol):
    """What an objective may ask of a model, for topic proportions theta (B, K)."""

    def decode(self, theta: Tensor) -> Tensor:
        """Word logits (B, V): log_softmax gives the log-probabilities of the words."""
        ...

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        """Nats (B,) of counts (n,) at the nonzeros of bow; a decoder knows the cheapest way."""
        ...


class Objective(Protocol):
    """Called with the decoder, topic proportions (B, K) and the batch they belong to; nats per document (B,).

    It is given the decoder and not its logits because a likelihood of sparse bags need not form B x V logits.
    """

    def __call__(self, decoder: Decoder, theta: Tensor, batch: Batch) -> Tensor: ...


class BowNLL:
    """Negative log-likelihood of the bag of words.

    normalize: divide each document's counts by their sum first, so that long and short documents weigh alike.
    weight: factor on the result, the strength of the reconstruction against the KL term. With normalize it
    is the
        number of tokens each document is made to count for; THETA's published loss is weight=1, which lets
        the KL win and the posterior collapse.
    """

    def __init__(self, weight: float, normalize: bool) -> None:
        self.weight = weight
        self.normalize = normalize

    def __call__(self, decoder: Decoder, theta: Tensor, batch: Batch) -> Tensor:
        counts = batch.bow.counts
        if self.normalize:
            counts = counts / batch.bow.lengths.clamp(min=1)[batch.bow.docs]
        return decoder.bag_nll(theta, batch.bow, self.weight * counts)
