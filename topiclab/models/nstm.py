"""NSTM: topics that are cheap to carry to a document's words (Zhao et al. 2021)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.data.batch import Batch, Nonzeros
from topiclab.limits import Count, Positive, Weight
from topiclab.models.base.vae import LogisticNormalVAE, labelled_cross_entropy
from topiclab.models.base.vectors import unit_noise
from topiclab.nn.bag_transport import bag_transport
from topiclab.nn.likelihood import linear_softmax_nll
from topiclab.nn.sinkhorn import SinkhornOptions, squared_distances


class NSTM(LogisticNormalVAE):
    """theta = softmax(mean of the encoder); loss = transport of theta to the document's words, at cost
    1 - cosine of topic and word vectors, + recon_weight * the objective under softmax(theta @ cosines).

    bag: word distribution that theta is transported to: `frequencies` of the document, or `softmax` of its
    counts over the vocabulary, as the authors do, which is nearly uniform for a short text.
    sharpness: 1 / entropic regularisation.  sinkhorn: tolerance and iterations.
    Differs from the authors' code: gradients of the transport follow from the envelope theorem. There is no
    prior and no sampling: the other options of the VAE concern its encoder and its start.
    """

    def __init__(
        self,
        *,
        word_dim: Count,
        recon_weight: Weight,
        sharpness: Positive,
        bag: Literal["frequencies", "softmax"],
        sinkhorn: SinkhornOptions,
        **vae: Any,
    ) -> None:
        super().__init__(**vae)
        self.topics = nn.Parameter(unit_noise(self.num_topics, word_dim))
        self.words = nn.Parameter(unit_noise(self.num_words, word_dim))
        self.recon_weight, self.sharpness, self.bag = recon_weight, sharpness, bag
        self.sinkhorn = sinkhorn

    def theta(self, posterior: tuple[Tensor, Tensor]) -> Tensor:
        return posterior[0].softmax(dim=1)

    def cosines(self) -> Tensor:
        """Cosines (K, V) of topic and word vectors."""
        return 1 - squared_distances(F.normalize(self.topics, dim=1), F.normalize(self.words, dim=1)) / 2

    def decode(self, theta: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            return theta.float() @ self.cosines()

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        with torch.autocast(theta.device.type, enabled=False):
            bias = theta.new_zeros(self.num_words, dtype=torch.float32)
            return linear_softmax_nll(theta.float(), self.cosines(), bias, bow, counts)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        posterior = self.encode(batch)
        theta = self.theta(posterior)
        losses = {
            "recon": self.recon_weight * self.objective(self, theta, batch),
            "transport": self.transport_cost(theta, self.bags(batch.bow)),
        }
        losses |= self.cluster_loss(posterior[0], batch)
        if self.classifier is not None:
            losses["classification"] = labelled_cross_entropy(self.classify(theta), batch.labels)
        return losses

    def transport_cost(self, theta: Tensor, bags: Tensor) -> Tensor:
        """Cost (B,) of transporting theta (B, K) to bags (B, V), in float32."""
        with torch.autocast(theta.device.type, enabled=False):
            cost = (1 - self.cosines()).clamp(min=0)
            return bag_transport(theta.float(), bags, cost, self.sharpness, **self.sinkhorn)

    def bags(self, bow: Nonzeros) -> Tensor:
        """Word distributions (B, V) that theta is transported to."""
        counts = torch.zeros(len(bow.lengths), self.num_words, device=bow.counts.device)
        counts[bow.docs, bow.words] = bow.counts
        return F.normalize(counts, p=1, dim=1) if self.bag == "frequencies" else counts.softmax(dim=1)

    def beta(self) -> Tensor:
        """Rows (K, V) of the transport kernel exp(-sharpness * cost), scaled to sum 1."""
        return (self.sharpness * self.cosines()).softmax(dim=1)

    @torch.no_grad()
    def start_decoder(self, words: np.ndarray) -> None:
        """Set word vectors to the mean of the topics that use each word, in proportion to that use."""
        shares = words + 1 / self.num_words
        shares = torch.from_numpy(shares / shares.sum(axis=0)).float()
        self.words.copy_(F.normalize(shares.T @ F.normalize(self.topics, dim=1), dim=1))
