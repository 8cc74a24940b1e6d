"""ProdLDA (Srivastava & Sutton 2017), with the encoder reading embeddings (ZeroShotTM) or counts."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from topiclab.data.batch import Nonzeros
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Positive, Unit
from topiclab.models.base.encoder import Encoder
from topiclab.models.base.vae import LogisticNormalVAE
from topiclab.nn.product_of_experts import ProductOfExperts

EncoderType = TypeVar("EncoderType", bound=Encoder)


class ProdLDA(LogisticNormalVAE):
    """p(w|d) = softmax(BN(theta B)): topics as experts whose product, not mixture, generates the words.

    has_shift: the batch norms of decoder and heads learn a shift, of every word's and every topic's logit, as
    in the authors' code; False is affine=False of its ports to PyTorch (OCTIS, contextualized-topic-models).
    Differs from the authors' code: the decoder's batch norm is folded into its weights (same numbers), and by
    default the encoder reads embeddings and starts from k-means. KL and likelihood are theirs.
    """

    def __init__(
        self, *, batch_norm_eps: Positive, batch_norm_momentum: Unit, has_shift: bool = True, **vae: Any
    ) -> None:
        self.has_shift = has_shift
        super().__init__(**vae)
        norm = batch_norm_eps, batch_norm_momentum
        self.decoder = ProductOfExperts(self.num_topics, self.num_words, *norm, has_shift)

    def make_encoder(self) -> Encoder:
        return self.with_shift(super().make_encoder())

    def with_shift(self, encoder: EncoderType) -> EncoderType:
        """Return the encoder, the shift of whose heads is learned or stays 0."""
        if isinstance(encoder.head_norm, nn.BatchNorm1d):
            encoder.head_norm.bias.requires_grad_(self.has_shift)
        return encoder

    def _start_key(self, datamodule: TopicDataModule) -> dict[str, Any]:
        key = super()._start_key(datamodule)
        return key if self.has_shift else {**key, "has_shift": False}

    def decode(self, theta: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            return self.decoder(theta.float())

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            return self.decoder.nll(theta.float(), bow, counts)

    def soft_nll(self, theta: Tensor, targets: Nonzeros | Tensor, temperature: float) -> Tensor:
        if not isinstance(targets, Tensor):
            return super().soft_nll(theta, targets, temperature)
        with torch.autocast(theta.device.type, enabled=False):
            return self.decoder.soft_nll(theta.float(), targets, temperature)

    def beta(self) -> Tensor:
        """Word distributions of documents of a single topic, with the batch norm's running statistics."""
        training = self.decoder.training
        self.decoder.eval()
        beta = self.decode(torch.eye(self.num_topics, device=self.device)).softmax(dim=1)
        self.decoder.train(training)
        return beta

    def start_decoder(self, words: np.ndarray) -> None:
        """Set the weights to the clusters' log-ratios to the corpus."""
        self.decoder.weight.data.copy_(torch.from_numpy(log_ratio(words)))


def log_ratio(words: np.ndarray) -> np.ndarray:
    """Log-ratio of each row's words (K, V) to their mean; 1/V smoothing keeps rare words from winning."""
    floor = 1 / words.shape[1]
    return np.log((words + floor) / (words.mean(axis=0) + floor))
