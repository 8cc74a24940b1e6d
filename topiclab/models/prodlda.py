"""ProdLDA (Srivastava & Sutton 2017), with the encoder reading embeddings (ZeroShotTM) or counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from topiclab.data.batch import Nonzeros
from topiclab.models.vae import LogisticNormalVAE
from topiclab.nn.likelihood import linear_softmax_nll


class ProductOfExperts(nn.Module):
    """BatchNorm1d(theta @ weight) with scale 1 and a learned shift, without a pass over B x V to normalise.

    The batch mean of theta @ weight is mean(theta) @ weight and its variance diag(weight^T Cov(theta)
    weight), so
    normalising scales the columns of weight (K x V) instead of the logits (B x V). Pinned to nn.BatchNorm1d.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_topics: int, num_words: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_topics, num_words)))
        self.bias = nn.Parameter(torch.zeros(num_words))
        self.eps, self.momentum = eps, momentum
        self.register_buffer("running_mean", torch.zeros(num_words))
        self.register_buffer("running_var", torch.ones(num_words))

    def fold(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """weight (K, V) and bias (V,) with the normalisation in them: word logits are theta @ weight +
        bias."""
        mean, var = self.statistics(theta) if self.training else (self.running_mean, self.running_var)
        scale = (var + self.eps).rsqrt()
        return self.weight * scale, self.bias - mean * scale

    def statistics(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of the batch's logits (V,); updates the running ones as BatchNorm1d
        does."""
        num_docs = len(theta)
        mean_theta = theta.mean(dim=0)
        centred = theta - mean_theta
        mean = mean_theta @ self.weight
        var = (self.weight * (centred.T @ centred / num_docs @ self.weight)).sum(dim=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (num_docs / max(1, num_docs - 1)), self.momentum)
        return mean, var


class ProdLDA(LogisticNormalVAE):
    """p(w|d) = softmax(BN(theta B)): topics as experts whose product, not mixture, draws the words.

    Differs from the authors' code: the KL and likelihood are theirs, the decoder's batch norm is folded into
    its weights (same numbers), and by default the encoder reads embeddings from a k-means start.
    """

    def __init__(self, *, batch_norm_eps: float, batch_norm_momentum: float, **vae: Any) -> None:
        super().__init__(**vae)
        self.decoder = ProductOfExperts(self.num_topics, self.num_words, batch_norm_eps, batch_norm_momentum)

    def decode(self, theta: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            weight, bias = self.decoder.fold(theta.float())
            return torch.addmm(bias, theta.float(), weight)

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            return linear_softmax_nll(theta.float(), *self.decoder.fold(theta.float()), bow, counts)

    def beta(self) -> Tensor:
        """What the decoder draws for a document of one topic alone, running statistics included."""
        training = self.decoder.training
        self.decoder.eval()
        beta = self.decode(torch.eye(self.num_topics, device=self.device)).softmax(dim=1)
        self.decoder.train(training)
        return beta

    def start_decoder(self, words: np.ndarray) -> None:
        """Log-ratio of each cluster's words to the corpus; 1/V smoothing keeps rare words from winning."""
        floor = 1 / self.num_words
        ratio = np.log((words + floor) / (words.mean(axis=0) + floor))
        self.decoder.weight.data.copy_(torch.from_numpy(ratio))
