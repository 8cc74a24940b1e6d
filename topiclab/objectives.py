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
    """Negative log-likelihood of the bag of words, in which a document of n tokens counts for weight *
    n^length_power.

    length_power=1, weight=1: every token counts, the ELBO of LDA and ProdLDA. length_power=0, weight=1:
    documents
    count alike and for one token, THETA's published loss, under which the KL wins and the posterior
    collapses.
    In between, the evidence of a document grows more slowly than its length, as its words are not
    independent.
    """

    def __init__(self, weight: float, length_power: float) -> None:
        self.weight = weight
        self.length_power = length_power

    def __call__(self, decoder: Decoder, theta: Tensor, batch: Batch) -> Tensor:
        bow = batch.bow
        per_token = self.weight * bow.lengths.clamp(min=1) ** (self.length_power - 1)
        return decoder.bag_nll(theta, bow, bow.counts * per_token[bow.docs])
