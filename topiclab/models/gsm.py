"""GSM (Miao, Grefenstette & Blunsom 2017): a mixture of topics by the Gaussian softmax construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.data.batch import Batch
from topiclab.limits import Weight
from topiclab.models.etm import ETM


class GSM(ETM):
    """theta = softmax(W x + c) with x ~ N(0, I), p(w|d) = theta @ beta, beta_k = softmax(v t_k).

    W (K, K) lets topics of a document correlate, which is all that sets the model apart from ETM with random
    word vectors v and an encoder on counts; t_k are the topic vectors.
    diversity_weight: of the variance of the angles between topic vectors minus their mean, in radians.
    Differs from the paper: by default the encoder starts from clusters, and then W from the identity.
    tests/models/test_nvdm_and_gsm.py checks a step against these formulas.
    """

    def __init__(self, *, diversity_weight: Weight, **etm: Any) -> None:
        super().__init__(**etm)
        self.diversity_weight = diversity_weight
        self.projection = nn.Linear(self.num_topics, self.num_topics)

    def decoded(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            return self.projection(z.float()).softmax(dim=-1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        losses = super().losses(batch)
        if self.diversity_weight:
            losses["diversity"] = (self.diversity_weight * self.alikeness()).expand(len(batch.rows))
        return losses

    def alikeness(self) -> Tensor:
        """Variance minus mean of the angles arccos(|cos(t_i, t_j)|) over all K x K pairs of topic vectors."""
        vectors = F.normalize(self.alpha, dim=1)
        # its slope is infinite at 1, where the diagonal lies
        angles = (vectors @ vectors.T).abs().clamp(max=1 - 1e-6).arccos()
        return angles.var(correction=0) - angles.mean()

    @torch.no_grad()
    def start_decoder(self, words: np.ndarray) -> None:
        """Start as ETM does, with W the identity: the encoder has learned the clusters' logits."""
        super().start_decoder(words)
        nn.init.eye_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
