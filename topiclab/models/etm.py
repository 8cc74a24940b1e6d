"""ETM (Dieng et al. 2020): topics and words as vectors in one space."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from topiclab.data.batch import Nonzeros
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count
from topiclab.models.base.vae import LogisticNormalVAE
from topiclab.nn.likelihood import mixture_nll


class ETM(LogisticNormalVAE):
    """p(w|d) = theta @ beta with beta = softmax(alpha rho^T), topic vectors alpha, word vectors rho.

    word_init: `random`, or `embedder` for the embedder's own word vectors, centred and standardised per
    dimension: raw unit vectors are so alike that beta starts, and stays, nearly uniform.
    word_dim: length of random word vectors; the embedder's have their own.
    is_word_frozen: do not train rho.
    is_double_softmax: p(w|d) = softmax(theta @ beta), as published for DSL; it confines every word to at most
    e / (e + V - 1).
    """

    def __init__(
        self,
        *,
        word_init: Literal["random", "embedder"],
        word_dim: Count,
        is_word_frozen: bool,
        is_double_softmax: bool = False,
        **vae: Any,
    ) -> None:
        super().__init__(**vae)
        self.word_init, self.is_word_frozen = word_init, is_word_frozen
        self.is_double_softmax = is_double_softmax
        self.set_word_vectors(torch.randn(self.num_words, word_dim))

    def set_word_vectors(self, rho: Tensor) -> None:
        """Set word vectors rho (V, E') and make topic vectors alpha (K, E') of the same length."""
        self.rho = nn.Parameter(rho / rho.shape[1] ** 0.5, requires_grad=not self.is_word_frozen)
        self.alpha = nn.Parameter(0.02 * torch.randn(self.num_topics, rho.shape[1]))

    def beta(self) -> Tensor:
        return (self.alpha @ self.rho.T).softmax(dim=1)

    def decode(self, theta: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            probs = theta.float() @ self.beta()
            return probs if self.is_double_softmax else (probs + 1e-10).log()

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        if self.is_double_softmax:
            return super().bag_nll(theta, bow, counts)
        with torch.autocast(theta.device.type, enabled=False):
            return mixture_nll(theta.float(), self.beta(), bow, counts)

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        if "rho" in state_dict and state_dict["rho"].shape != self.rho.shape:
            self.set_word_vectors(torch.empty(state_dict["rho"].shape))
        return super().load_state_dict(state_dict, *args, **kwargs)

    def initialize(self, datamodule: TopicDataModule) -> None:
        if self.word_init == "embedder":
            rho = torch.from_numpy(datamodule.embedded_words())
            self.set_word_vectors((rho - rho.mean(dim=0)) / rho.std(dim=0).clamp(min=1e-8))
        super().initialize(datamodule)

    @torch.no_grad()
    def start_decoder(self, words: np.ndarray) -> None:
        """Set topic vectors by ridge regression on the clusters' log word probabilities.

        Trainable word vectors are then changed by the least amount that makes the fit exact.
        """
        target = torch.from_numpy(np.log(words + 1 / self.num_words))
        target -= target.mean(dim=1, keepdim=True)
        rho = self.rho.double()
        ridge = 1e-2 * torch.eye(rho.shape[1], dtype=rho.dtype)
        alpha = torch.linalg.solve(rho.T @ rho + ridge, rho.T @ target.T).T
        self.alpha.copy_(alpha)
        if not self.is_word_frozen:
            self.rho += (torch.linalg.pinv(alpha) @ (target - alpha @ rho.T)).T
