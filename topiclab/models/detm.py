"""D-ETM: dynamic embedded topic model, whose topic vectors and their popularity walk over periods."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from topiclab.data.batch import Batch, DocumentTensors
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.period_bins import PeriodBins, Unit
from topiclab.data.words.occurrences import Occurrences
from topiclab.limits import Count, Positive
from topiclab.models.base.period_topics import period_masses, training_bins, write_periods
from topiclab.models.base.vae import gaussian_kl, labelled_cross_entropy
from topiclab.models.etm import ETM
from topiclab.nn.dropout import dropout
from topiclab.nn.period_decoder import PeriodDecoder
from topiclab.nn.random_walk import PopularityWalk, walk_kl

PUBLISHED_VARIANCE = 0.005  # of a step, from which the posteriors of the topic vectors start


class DETM(ETM):
    """Dynamic embedded topic model (Dieng, Ruiz & Blei 2019).

    Topic k has a vector for each period t, and the logits of its popularity walk as well:

        alpha_tk ~ N(alpha_(t-1)k, s I), eta_t ~ N(eta_(t-1), s I), z_d ~ N(eta_t, I), theta_d = softmax(z_d)
        p(w|d) = theta_d softmax(alpha_t rho)

    Minus the ELBO is the mean over documents of reconstruction + kl + walk_kl / N: q(alpha) has independent
    means and variances, q(eta) an LSTM over the mean bags of the periods (`PopularityWalk`), and q(z) is the
    encoder's, around eta_t. Differs from the authors' code: the encoder adds to eta_t and does not read it;
    it may read document embeddings; and the topics start from clusters (`init`), the same in every period.
    beta, and with it metrics of topics, is the mean over periods, weighted by the topic's share in each;
    periods.json has the words of every period.

    period: length of a period, see `assign_periods`; none: one for all, which is ETM.
    walk_variance: s.  walk_dim: width of the LSTM.
    """

    num_periods = 1
    packed_bins: Tensor
    period_words: Tensor
    masses: Tensor

    def __init__(self, *, period: Unit, walk_variance: Positive, walk_dim: Count, **etm: Any) -> None:
        super().__init__(**etm)
        self.period: Unit = period
        self.walk_variance = walk_variance
        self.reads_timestamps = period != "none"
        self.popularity = (
            PopularityWalk(self.num_words, self.num_topics, walk_dim) if period != "none" else None
        )
        static = PeriodBins.of(None, "none", "")
        self.register_buffer("packed_bins", torch.from_numpy(static.packed()))
        self.register_buffer("period_words", torch.zeros(1, self.num_words))
        self.register_buffer("masses", torch.ones(1, self.num_topics))

    @property
    def bins(self) -> PeriodBins:
        return PeriodBins.unpacked(self.packed_bins.cpu().numpy())

    def set_word_vectors(self, rho: Tensor) -> None:
        """Set word vectors rho (V, E') and make topic vectors (T, K, E') of the same length."""
        self.rho = nn.Parameter(rho / rho.shape[1] ** 0.5, requires_grad=not self.is_word_frozen)
        start = 0.02 * torch.randn(self.num_topics, rho.shape[1])
        self.set_topic_vectors(start.expand(self.num_periods, -1, -1))

    def set_topic_vectors(self, means: Tensor) -> None:
        """Set the means (T, K, E') of the topic vectors, with the variance of a published step."""
        self.alpha = nn.Parameter(means.clone())
        self.alpha_logvar = nn.Parameter(torch.full_like(self.alpha, math.log(PUBLISHED_VARIANCE)))
        if self.num_periods == 1:
            self.alpha_logvar.requires_grad_(False)  # which is not read

    def set_periods(self, bins: PeriodBins) -> None:
        """Make room for these periods."""
        self.num_periods = len(bins)
        self.packed_bins = torch.from_numpy(bins.packed()).to(self.device)
        self.period_words = torch.zeros(len(bins), self.num_words, device=self.device)
        self.masses = torch.ones(len(bins), self.num_topics, device=self.device)
        self.set_topic_vectors(self.alpha.detach()[:1].expand(len(bins), -1, -1))

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        if "packed_bins" in state_dict and state_dict["packed_bins"].shape != self.packed_bins.shape:
            self.set_periods(PeriodBins.unpacked(state_dict["packed_bins"].cpu().numpy()))
        return super().load_state_dict(state_dict, *args, **kwargs)

    def initialize(self, datamodule: TopicDataModule) -> None:
        bins, bow = training_bins(datamodule, self.period), datamodule.train_bow
        self.set_periods(bins)
        index = self.period_index(datamodule)[datamodule.train_rows]
        words = np.stack(
            [np.asarray(bow[index == period].sum(axis=0)).ravel() for period in range(len(bins))]
        )
        self.period_words.copy_(torch.from_numpy(words / np.maximum(words.sum(axis=1, keepdims=True), 1)))
        super().initialize(datamodule)

    @torch.no_grad()
    def start_decoder(self, words: np.ndarray) -> None:
        walk, num_periods = self.alpha, self.num_periods
        self.alpha = nn.Parameter(walk.detach()[0].clone())  # as ETM has it
        super().start_decoder(words)
        self.set_topic_vectors(self.alpha.detach().expand(num_periods, -1, -1))

    def period_index(self, datamodule: TopicDataModule) -> np.ndarray:
        """Period (D,) of every document of the corpus."""
        corpus = datamodule.corpus
        return training_bins(datamodule, self.period).index(corpus.timestamps, corpus.num_docs)

    def documents_of(self, datamodule: TopicDataModule) -> DocumentTensors:
        return replace(datamodule.documents, periods=torch.from_numpy(self.period_index(datamodule)))

    def probs(self, alpha: Tensor) -> Tensor:
        """Word distributions (T, K, V) of topic vectors (T, K, E')."""
        with torch.autocast(alpha.device.type, enabled=False):
            return (alpha.float() @ self.rho.float().T).softmax(dim=2)

    def beta(self) -> Tensor:
        weights = self.masses + 1e-12
        return torch.einsum("tk,tkv->kv", weights / weights.sum(0), self.probs(self.alpha))

    def decoder_of(self, batch: Batch) -> PeriodDecoder:
        assert batch.periods is not None
        return PeriodDecoder(self.probs(self.alpha), batch.periods)

    def walks(self) -> tuple[Tensor, Tensor, Tensor]:
        """Popularity (T, K) and topic vectors (T, K, E'), drawn in training, and their KL in nats."""
        if self.popularity is None:
            return self.masses.new_zeros(1, self.num_topics), self.alpha, self.masses.new_zeros(())
        with torch.autocast(self.device.type, enabled=False):
            eta, eta_kl = self.popularity(self.period_words, self.walk_variance)
            noise = torch.randn_like(self.alpha) if self.training else 0
            alpha = self.alpha + noise * (0.5 * self.alpha_logvar).exp()
            return eta, alpha, eta_kl + walk_kl(self.alpha, self.alpha_logvar, alpha, self.walk_variance)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.periods is not None
        shift, logvar = self.encoder(batch)
        return self.walks()[0][batch.periods] + shift, logvar

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.periods is not None
        eta, alpha, kl_of_walks = self.walks()
        shift, logvar = self.encoder(batch)
        mu = eta[batch.periods] + shift
        theta = self.theta((mu, logvar))
        kl = gaussian_kl(shift, logvar, self.prior_mean, self.prior_logvar)
        decoder = PeriodDecoder(self.probs(alpha), batch.periods)
        losses = {
            "recon": self.objective(decoder, dropout(theta, self.theta_dropout, self.training), batch),
            "kl": kl.clamp(min=self.free_bits) if self.free_bits else kl,
        }
        if self.popularity is not None:
            losses["walk_kl"] = (kl_of_walks / max(len(self._train_rows), 1)).expand(len(theta))
        losses |= self.cluster_loss(mu, batch)
        if self.classifier is not None:
            losses["classification"] = labelled_cross_entropy(self.classify(theta), batch.labels)
        return losses

    def finalize(self, datamodule: TopicDataModule) -> None:
        super().finalize(datamodule)
        rows = datamodule.train_rows
        theta = self.infer(self.documents_of(datamodule))[0][rows]
        masses = period_masses(theta, self.period_index(datamodule)[rows], self.num_periods)
        self.masses.copy_(torch.from_numpy(masses))

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "periods": self.num_periods, "unit": self.bins.unit}

    @torch.inference_mode()
    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write periods.json into the run folder."""
        probs = self.probs(self.alpha).cpu().numpy()
        write_periods(folder, self.bins, probs, self.masses.cpu().numpy(), datamodule.corpus.vocab)

    def transform(
        self,
        bow: sparse.csr_matrix,
        embeddings: np.ndarray | None,
        occurrences: Occurrences | None = None,
        timestamps: np.ndarray | None = None,
    ) -> np.ndarray:
        return self.infer(self._dated(bow, embeddings, timestamps))[0]

    def predict_classes(
        self,
        bow: sparse.csr_matrix,
        embeddings: np.ndarray | None,
        occurrences: Occurrences | None = None,
        timestamps: np.ndarray | None = None,
    ) -> np.ndarray:
        classes = self.infer(self._dated(bow, embeddings, timestamps))[2]
        assert classes is not None
        return classes

    def _dated(
        self, bow: sparse.csr_matrix, embeddings: np.ndarray | None, timestamps: np.ndarray | None
    ) -> DocumentTensors:
        index = self.bins.index(timestamps, bow.get_shape()[0])
        return replace(self.unseen_documents(bow, embeddings, None), periods=torch.from_numpy(index))
