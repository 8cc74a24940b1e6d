"""ECRTM: ProdLDA whose topics are clusters of word vectors, kept apart by transport (Wu et al. 2023)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.data.batch import Batch
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive, Unit, Weight
from topiclab.models.base.vectors import fit_products, unit_noise
from topiclab.models.prodlda import ProdLDA
from topiclab.nn.product_of_experts import ProductOfExperts
from topiclab.nn.sinkhorn import SinkhornOptions, sinkhorn_plan, squared_distances


class ECRTM(ProdLDA):
    """p(w|d) = softmax(BN(theta @ beta)), beta_kv = softmax over topics of -|t_k - w_v|^2 / temperature.

    Embedding clustering regularisation: ecr_weight * <P, M> for the entropic plan P, of sharpness
    ecr_sharpness, between uniform weights on the topics and uniform weights on the words under the squared
    distances M, so that all topics are the centres of equally many words.
    word_init: `random`, or `embedder` for the embedder's word vectors, scaled to length 1.
    word_dim: length of random word vectors.
    Differs from the authors' code: the plan starts from the last step's potentials and is differentiated at
    its fixed point, and the encoder is ProdLDA's.
    """

    decoder: ClusteredExperts
    word_potential: Tensor

    def __init__(
        self,
        *,
        word_init: Literal["random", "embedder"],
        word_dim: Count,
        beta_temperature: Positive,
        ecr_weight: Weight,
        ecr_sharpness: Positive,
        sinkhorn: SinkhornOptions,
        has_shift: bool,
        batch_norm_eps: Positive,
        batch_norm_momentum: Unit,
        **vae: Any,
    ) -> None:
        super().__init__(
            has_shift=has_shift, batch_norm_eps=batch_norm_eps, batch_norm_momentum=batch_norm_momentum, **vae
        )
        norm = batch_norm_eps, batch_norm_momentum
        self.decoder = ClusteredExperts(self.num_topics, self.num_words, *norm, has_shift, beta_temperature)
        self.decoder.set_vectors(unit_noise(self.num_topics, word_dim), unit_noise(self.num_words, word_dim))
        self.word_init = word_init
        self.ecr_weight, self.ecr_sharpness = ecr_weight, ecr_sharpness
        self.sinkhorn = sinkhorn
        self.register_buffer("word_potential", torch.zeros(self.num_words))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        losses = super().losses(batch)
        if self.ecr_weight:
            losses["clustering"] = (self.ecr_weight * self.transport_cost()).expand(len(batch.rows))
        return losses

    def transport_cost(self) -> Tensor:
        """Cost <P, M> of the plan between topics and words, with uniform marginals."""
        with torch.autocast(self.device.type, enabled=False):
            distances = self.decoder.distances()
            topics, words = (distances.new_full((size,), -math.log(size)) for size in distances.shape)
            cost = self.ecr_sharpness * distances
            plan, potential = sinkhorn_plan(cost, topics, words, self.word_potential, **self.sinkhorn)
            if self.training:
                self.word_potential.copy_(potential)
            return (plan * distances).sum()

    def beta(self) -> Tensor:
        """Rows of the decoder's weights, scaled to sum 1: the published definition of the topics."""
        return F.normalize(self.decoder.weight, p=1, dim=1)

    def initialize(self, datamodule: TopicDataModule) -> None:
        if self.word_init == "embedder":
            words = torch.from_numpy(datamodule.embedded_words())
            topics = unit_noise(self.num_topics, words.shape[1])
            self.decoder.set_vectors(topics, F.normalize(words, dim=1))
        super().initialize(datamodule)

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        vectors = [state_dict.get(f"decoder.{name}") for name in ("topics", "words")]
        if all(value is not None for value in vectors):
            self.decoder.set_vectors(*(torch.empty_like(value) for value in vectors))
        return super().load_state_dict(state_dict, *args, **kwargs)

    @torch.no_grad()
    def start_decoder(self, words: np.ndarray) -> None:
        """Move word vectors as little as needed for a word's topics to match its shares in the clusters."""
        shares = torch.from_numpy(words + 1 / self.num_words)
        products = shares.log() * self.decoder.temperature / 2
        self.decoder.words.copy_(fit_products(self.decoder.topics, products, self.decoder.words))


class ClusteredExperts(ProductOfExperts):
    """Product of experts whose weight (K, V) is the proximity of topics to words; columns sum to 1."""

    def __init__(
        self,
        num_topics: int,
        num_words: int,
        eps: float,
        momentum: float,
        has_shift: bool,
        temperature: float,
    ) -> None:
        super().__init__(num_topics, num_words, eps, momentum, has_shift)
        self.temperature = temperature

    def make_weight(self, num_topics: int, num_words: int) -> None:
        """Do nothing: `set_vectors` sets the vectors later, when their size is known."""

    def set_vectors(self, topics: Tensor, words: Tensor) -> None:
        """Make parameters of the topics (K, E) and words (V, E)."""
        self.topics, self.words = nn.Parameter(topics), nn.Parameter(words)

    def distances(self) -> Tensor:
        """Squared distances of topics and words (K, V)."""
        return squared_distances(self.topics, self.words)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return (-self.distances() / self.temperature).softmax(dim=0)
