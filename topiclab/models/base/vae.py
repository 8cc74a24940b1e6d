"""LogisticNormalVAE: encoder, prior, losses and warm start shared by the variational models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.cache import cached_arrays
from topiclab.data.batch import Batch
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Natural, Options, Positive, Real, Share, Weight
from topiclab.metrics.readout import rank_by_usage
from topiclab.models.base.encoder import Encoder
from topiclab.models.base.topic_model import TopicModel
from topiclab.models.base.warmstart import cluster_words, start_clusters, teach_clusters
from topiclab.nn.dropout import dropout


class LogisticNormalVAE(TopicModel):
    """q(z|x) = N(mu(x), diag exp(logvar(x))), theta = softmax(z) (Srivastava & Sutton 2017).

    encoder: arguments of `Encoder`.  theta_dropout: applied to theta during training.
    prior_variance: of every topic logit; None is 1 - 1/K, the Laplace approximation of a flat Dirichlet.
    is_prior_learned: learn the prior's mean and variance, starting from 0 and prior_variance.
    theta_samples: outside training theta is the mean of this number of draws, the same in every call of
    `infer` with the same documents; 0 is softmax(mu). Published: 10 for ProdLDA, anew in every call.
    free_bits: nats of KL per document that are not penalised.
    init: `kmeans` starts from clusters of neighbour-smoothed embeddings, because short texts hold too few
    words to find topics before the KL closes the posterior; `neighbourhoods` from clusters of the words of a
    document's neighbourhood beside its embedding; `soft_labels` from clusters of the teacher's soft labels;
    `random` from noise, as published.
    init_weight: nats that a training document's cluster of the start counts, all through training: the
    cross-entropy of softmax(mu) is added. Above 0 the documents stay with their clusters, while the decoder
    learns their words and the posterior its width; at 0 the likelihood of a few words moves them.
    readout: `usage` ranks words by use in the topic's documents (see readout.py), `beta` by the decoder.
    """

    def __init__(
        self,
        *,
        encoder: Annotated[Options, Encoder],
        theta_dropout: Share,
        prior_variance: Positive | None,
        is_prior_learned: bool,
        theta_samples: Natural,
        free_bits: Weight,
        init: Literal["kmeans", "neighbourhoods", "soft_labels", "random"],
        init_neighbours: Natural,
        init_weight: Weight,
        init_epochs: Natural,
        init_lr: Positive,
        init_logvar: Real,
        readout: Literal["usage", "beta"],
        readout_smoothing: Weight,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        if prior_variance is None and self.num_topics == 1:
            raise ValueError(
                "model.prior_variance=null is 1 - 1/K, which is 0 for num_topics=1; ask for at least 2, or "
                "set model.prior_variance=1.0"
            )
        sizes = {"num_words": self.num_words, "embedding_dim": self.embedding_dim}
        self.encoder_options: dict[str, Any] = {"num_topics": self.num_topics, **sizes, **encoder}
        self.encoder = self.make_encoder()
        self.theta_dropout = theta_dropout
        self.prior_variance = prior_variance or 1 - 1 / self.num_topics
        variance = torch.full((self.num_topics,), float(self.prior_variance))
        self.prior_mean = nn.Parameter(torch.zeros(self.num_topics), requires_grad=is_prior_learned)
        self.prior_logvar = nn.Parameter(variance.log(), requires_grad=is_prior_learned)
        self.theta_samples = theta_samples
        self.free_bits = free_bits
        self.init, self.init_neighbours = init, init_neighbours
        self.init_epochs, self.init_lr, self.init_logvar = init_epochs, init_lr, init_logvar
        self.init_weight = init_weight if init != "random" else 0.0
        self._clusters: Tensor | None = None  # of the start, of every document; -1 outside training
        self.readout, self.readout_smoothing = readout, readout_smoothing

    def make_encoder(self) -> Encoder:
        return Encoder(**self.encoder_options)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.encoder(batch)

    def theta(self, posterior: tuple[Tensor, Tensor]) -> Tensor:
        mu, logvar = posterior
        if not self.training and self.theta_samples:
            draws = mu + (0.5 * logvar).exp() * torch.randn(self.theta_samples, *mu.shape, device=mu.device)
            return self.decoded(draws).mean(dim=0)
        z = mu + (0.5 * logvar).exp() * torch.randn_like(mu) if self.training else mu
        return self.decoded(z)

    def decoded(self, z: Tensor) -> Tensor:
        """Return what the decoder reads for draws z (..., K): theta, unless a model has another way."""
        return z.softmax(dim=-1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        posterior = self.encode(batch)
        theta = self.theta(posterior)
        losses = self.reconstruction(dropout(theta, self.theta_dropout, self.training), batch)
        kl = gaussian_kl(*posterior, self.prior_mean, self.prior_logvar)
        losses["kl"] = kl.clamp(min=self.free_bits) if self.free_bits else kl
        losses |= self.cluster_loss(posterior[0], batch)
        if self.classifier is not None:
            losses["classification"] = labelled_cross_entropy(self.classify(theta), batch.labels)
        return losses

    def cluster_loss(self, mu: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Loss (B,) named clusters of leaving the clusters of the start; {} where they do not count."""
        if self._clusters is None:
            return {}
        return {"clusters": self.init_weight * labelled_cross_entropy(mu, self._clusters[batch.rows])}

    def reconstruction(self, theta: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Named reconstruction losses (B,) of the documents under the topic proportions theta (B, K)."""
        return {"recon": self.objective(self, theta, batch)}

    def fit_input(self, encoder: Encoder, datamodule: TopicDataModule) -> None:
        """Set the encoder's input statistics before training."""
        if encoder.standardize is not None:
            encoder.standardize.fit(torch.from_numpy(np.array(datamodule.train_embeddings)))

    def initialize(self, datamodule: TopicDataModule) -> None:
        if self.init == "random":
            self.fit_input(self.encoder, datamodule)
            return
        start = self._cached_start(datamodule)
        assignment = start["assignment"]
        self._keep_clusters(datamodule, assignment)
        state = {name: torch.from_numpy(np.array(start[name])) for name in self.encoder.state_dict()}
        self.encoder.load_state_dict(state)
        torch.manual_seed(self.seed)  # whether or not the start was cached
        self.start_decoder(cluster_words(datamodule.train_bow, assignment, self.num_topics))

    def load_documents(self, datamodule: TopicDataModule) -> None:
        super().load_documents(datamodule)
        if self.init_weight and self._clusters is None:  # a resumed fit
            self._keep_clusters(datamodule, self._cached_start(datamodule)["assignment"])
        if self._clusters is not None:
            self._clusters = self._clusters.to(self.device)

    def _keep_clusters(self, datamodule: TopicDataModule, assignment: np.ndarray) -> None:
        """Keep clusters (N,) of the training documents for the losses, if they count."""
        if self.init_weight:
            self._clusters = torch.full((datamodule.corpus.num_docs,), -1)
            self._clusters[datamodule.train_rows] = torch.from_numpy(np.array(assignment, dtype=np.int64))

    def _cached_start(self, datamodule: TopicDataModule) -> Mapping[str, np.ndarray]:
        root = datamodule.cache_root if datamodule.embedding_key else None
        return cached_arrays(root, "starts", self._start_key(datamodule), lambda: self._start(datamodule))

    def _start_key(self, datamodule: TopicDataModule) -> dict[str, Any]:
        """Cache key of a warm start; models that differ only in decoder or objective share it."""
        return {
            "encoder": self.encoder_options,
            "batch_size": self.batch_size,
            "clusters": [self.init, self.init_neighbours, self.seed],
            "training": [self._start_epochs(datamodule), self.init_lr, self.init_logvar],
            "data": datamodule.fingerprint,
            "labels": self._label_key(datamodule) if self.init == "soft_labels" else None,
            "device": self.device.type,
        }

    @staticmethod
    def _label_key(datamodule: TopicDataModule) -> list[Any]:
        """Key and temperature of the soft labels: clusters depend on the temperature, the key does not."""
        return [datamodule.soft_labels.key, datamodule.soft_labels.temperature]

    def _start_epochs(self, datamodule: TopicDataModule) -> int:
        return self.epochs_for(len(datamodule.train_rows), self.init_epochs)

    def start_clusters(self, datamodule: TopicDataModule) -> np.ndarray:
        """Cluster (N,) of every training document."""
        return start_clusters(datamodule, self.init, self.init_neighbours, self.num_topics, self.seed)

    def _start(self, datamodule: TopicDataModule) -> dict[str, np.ndarray]:
        """Clusters of the training documents, and the state of an encoder trained to predict them."""
        assignment = self.start_clusters(datamodule)
        torch.manual_seed(self.seed)
        encoder = self.make_encoder().to(self.device)
        self.fit_input(encoder, datamodule)
        encoder.set_logvar(self.init_logvar)
        teach_clusters(
            encoder,
            self.documents_of(datamodule),
            datamodule.train_rows,
            assignment,
            epochs=self._start_epochs(datamodule),
            batch_size=self.batch_size,
            lr=self.init_lr,
        )
        state = {name: value.cpu().numpy() for name, value in encoder.state_dict().items()}
        return {"assignment": assignment, **state}

    def start_decoder(self, words: np.ndarray) -> None:
        """Set the decoder so that topic k generates words[k]; words: (K, V) distributions."""
        raise NotImplementedError

    def rank_words(self, theta: np.ndarray, beta: np.ndarray, bow: Any) -> np.ndarray:
        """Scores (K, V) by which the words of a topic are ranked; theta and bow of the training documents."""
        return rank_by_usage(theta, bow, self.readout_smoothing) if self.readout == "usage" else beta


def gaussian_kl(mu: Tensor, logvar: Tensor, prior_mean: Tensor, prior_logvar: Tensor) -> Tensor:
    """KL(N(mu, diag exp(logvar)) || N(prior_mean, diag exp(prior_logvar))) per document (B,), in nats.

    mu, logvar: (B, K).  prior_mean, prior_logvar: (K,).
    """
    return _GaussianKL.apply(mu, logvar, prior_mean, prior_logvar)  # type: ignore[return-value]


class _GaussianKL(torch.autograd.Function):
    """Gaussian KL, a dozen (B, K) operations; its explicit gradient costs half of autograd's."""

    @staticmethod
    def forward(ctx: Any, mu, logvar, prior_mean, prior_logvar):  # type: ignore[override]
        precision = (-prior_logvar).exp()
        shift = mu - prior_mean
        spread = logvar.exp() * precision
        scaled_shift = shift * precision
        ctx.save_for_backward(spread, shift, scaled_shift)
        ratio = torch.addcmul(spread, shift, scaled_shift)
        return 0.5 * (ratio - logvar + (prior_logvar - 1)).sum(dim=1)

    @staticmethod
    def backward(ctx: Any, grad):  # type: ignore[override]
        spread, shift, scaled_shift = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        grad_mu = grad * scaled_shift
        half = 0.5 * grad
        grad_logvar = half * (spread - 1)
        grad_prior = None, None
        if any(ctx.needs_input_grad[2:]):
            grad_prior = -grad_mu.sum(dim=0), -(half * shift * scaled_shift + grad_logvar).sum(dim=0)
        return grad_mu, grad_logvar, *grad_prior


def labelled_cross_entropy(class_logits: Tensor, labels: Tensor | None) -> Tensor:
    """Cross-entropy per document (B,), 0 for a document without a label (-1)."""
    assert labels is not None
    return F.cross_entropy(class_logits, labels, ignore_index=-1, reduction="none")
