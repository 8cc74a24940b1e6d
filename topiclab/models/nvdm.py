"""NVDM (Miao, Yu & Blunsom 2016): a Gaussian document vector and a log-bilinear decoder of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from topiclab.data.batch import Nonzeros
from topiclab.models.base.vae import LogisticNormalVAE
from topiclab.models.prodlda import log_ratio
from topiclab.nn.likelihood import linear_softmax_nll


class NVDM(LogisticNormalVAE):
    """p(w|d) = softmax(z R + b) with z ~ N(0, I) in K dimensions: a document model without a simplex.

    Training and likelihood are the paper's and know of no topics. What stands for them in the result:
    theta = softmax of z's posterior mean, the construction by which the same authors turn NVDM into a topic
    model (GSM, Miao et al. 2017); the main topic of a document is its largest coordinate. Directions that a
    document lies far below zero in count as absent, although the decoder uses them.
    beta_k = softmax(R_k), the row of weights by which the paper ranks the words of a dimension; the words'
    frequencies b are left out of it. theta @ beta is not the model's word distribution, so only the model's
    own perplexity speaks of its likelihood.
    Differs from the authors' code: encoder and decoder learn in the same step, where they alternate by ten
    epochs, and by default the model starts from clusters.
    tests/models/test_nvdm_and_gsm.py checks a step against these formulas.
    """

    def __init__(self, **vae: Any) -> None:
        super().__init__(**vae)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(self.num_topics, self.num_words)))
        self.bias = nn.Parameter(torch.zeros(self.num_words))

    def decoded(self, z: Tensor) -> Tensor:
        return z

    def proportions(self, theta: Tensor) -> Tensor:
        return theta.softmax(dim=1)

    def classify(self, theta: Tensor) -> Tensor:
        """Class logits (B, C) from z itself, which is log theta up to a constant."""
        assert self.classifier is not None
        return self.classifier(theta)

    def decode(self, theta: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            return torch.addmm(self.bias, theta.float(), self.weight)

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            return linear_softmax_nll(theta.float(), self.weight, self.bias, bow, counts)

    def beta(self) -> Tensor:
        return self.weight.softmax(dim=1)

    @torch.no_grad()
    def start_decoder(self, words: np.ndarray) -> None:
        """Set b to the corpus and R to the clusters' log-ratios to it."""
        self.weight.copy_(torch.from_numpy(log_ratio(words)))
        self.bias.copy_(torch.from_numpy(np.log(words.mean(axis=0) + 1 / self.num_words)))
