"""FASTopic: topics linked to documents and to words by two transport plans (Wu et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.data.batch import Batch, DocumentTensors, Nonzeros
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Natural, Positive, Weight
from topiclab.metrics.readout import rank_by_usage
from topiclab.models.base.encoder import Standardize
from topiclab.models.base.topic_model import TopicModel
from topiclab.models.base.vae import labelled_cross_entropy
from topiclab.models.base.vectors import fit_products, unit_noise
from topiclab.models.base.warmstart import cluster_words, start_clusters
from topiclab.nn.mixture import Mixture
from topiclab.nn.sinkhorn import SinkhornOptions, plan_rows, sinkhorn_plan, squared_distances

WHOLE_CORPUS = 2**62  # a batch size


class FASTopic(TopicModel):
    """p(w|d) = theta @ beta; theta and beta are the rows of entropic transport plans from documents to topics
    and from topics to words, at cost sharpness * squared distance, with learned topic and word marginals.

    batch_size: documents per step; None: all of them, as published. An array of documents x words is made
    only for soft labels of all words (no objective.top_k or teacher.top_k), student_temperature != 1 or a
    floor.
    standardize: scale the vectors per dimension before their rows are scaled to length 1.
    transport_weight: of the two transport costs relative to the objective, published 1.
    theta_from: `potential` gives a document softmax(g - cost) with the plan's topic potential g, which is its
    row of the training plan. `column_sums`, published, divides exp(-distance) by its sum over the training
    documents: another sharpness, and uniform topic shares. Neither depends on the other documents inferred.
    `batch_plan`, from DSL's code, computes a plan among each plan_batch documents inferred, in their order.
    sinkhorn: tolerance and iterations of `sinkhorn_plan`.
    classifier_lr: of the head of mode=supervised, which gets as few steps as there are epochs.
    init: see `start_clusters`; `random` as published.
    Differs from the authors' code: plans start from the last step's potentials and are differentiated at
    their fixed point, and the likelihood reads nonzeros only. tests/models/test_transport.py checks a step
    against theirs.
    """

    topic_potential: Tensor
    word_potential: Tensor
    distance_sums: Tensor

    def __init__(
        self,
        *,
        batch_size: Count | None,
        standardize: bool,
        document_sharpness: Positive,
        word_sharpness: Positive,
        transport_weight: Weight,
        sinkhorn: SinkhornOptions,
        theta_from: Literal["potential", "column_sums", "batch_plan"],
        plan_batch: Count,
        init: Literal["kmeans", "soft_labels", "random"],
        init_neighbours: Natural,
        init_length: Positive,
        classifier_lr: Positive,
        readout: Literal["usage", "beta"],
        readout_smoothing: Weight,
        **training: Any,
    ) -> None:
        super().__init__(batch_size=batch_size or WHOLE_CORPUS, **training)
        if not self.embedding_dim:
            raise ValueError(
                "model=fastopic reads document embeddings; choose an embedder, e.g. embedder=lsa"
            )
        self.standardize = Standardize(self.embedding_dim) if standardize else nn.Identity()
        self.document_sharpness, self.word_sharpness = document_sharpness, word_sharpness
        self.transport_weight = transport_weight
        self.sinkhorn = sinkhorn
        self.theta_from, self.plan_batch = theta_from, plan_batch
        self.init, self.init_neighbours, self.init_length = init, init_neighbours, init_length
        self.classifier_lr = classifier_lr
        self.readout, self.readout_smoothing = readout, readout_smoothing
        self.topics = nn.Parameter(unit_noise(self.num_topics, self.embedding_dim))
        self.words = nn.Parameter(unit_noise(self.num_words, self.embedding_dim))
        self.topic_weights = nn.Parameter(torch.zeros(self.num_topics))
        self.word_weights = nn.Parameter(torch.zeros(self.num_words))
        self.register_buffer("topic_potential", torch.zeros(self.num_topics))
        self.register_buffer("word_potential", torch.zeros(self.num_words))
        self.register_buffer("distance_sums", torch.zeros(self.num_topics))  # logarithms
        self._whole: Batch | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.classifier is None:
            return super().configure_optimizers()
        head = list(self.classifier.parameters())
        rest = [
            parameter for name, parameter in self.named_parameters() if not name.startswith("classifier.")
        ]
        groups = [{"params": rest}, {"params": head, "lr": self.classifier_lr}]
        return torch.optim.Adam(
            groups, lr=self.lr, betas=self.betas, weight_decay=self.weight_decay, fused=True
        )

    def read(self, embeddings: Tensor | None) -> Tensor:
        """Unit vectors (B, E) of the documents."""
        if embeddings is None:
            raise ValueError(
                "model=fastopic reads embeddings, but the documents have none; choose an embedder"
            )
        return F.normalize(self.standardize(embeddings.float()), dim=1)

    def load_documents(self, datamodule: TopicDataModule) -> None:
        """Load the documents, scale them once for all steps, and keep the batch if it is the whole corpus."""
        super().load_documents(datamodule)
        assert self._documents is not None
        self._documents = replace(self._documents, embeddings=self.read(self._documents.embeddings))
        self._whole = None
        if len(self._train_rows) <= self.batch_size:
            (self._whole,) = super().batches(self._train_rows, self.batch_size)

    def batches(self, rows: Tensor, batch_size: int) -> Iterator[Batch]:
        """Mini-batches; in training, a batch of all documents is reused, since order does not matter."""
        if self._whole is None or not self.training:
            return super().batches(rows, batch_size)
        return iter([self._whole])

    def infer(self, documents: DocumentTensors) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        vectors = None if documents.embeddings is None else documents.embeddings.to(self.device)
        return super().infer(replace(documents, embeddings=self.read(vectors)))

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Squared distances of unit vectors to the topics (B, K), and the topic potential (K,)."""
        assert batch.embeddings is not None
        lengths = 1 + self.topics.square().sum(dim=1)
        return torch.addmm(lengths, batch.embeddings, self.topics.T, alpha=-2), self.topic_potential

    def theta(self, posterior: tuple[Tensor, Tensor]) -> Tensor:
        """Rows (B, K) of the plan: of the batch during training, otherwise as set by theta_from."""
        distances, potential = posterior
        cost = self.document_sharpness * distances
        if self.training:
            self.distance_sums.copy_(torch.logsumexp(-distances.detach(), dim=0))
            return self.document_plan(cost)
        if self.theta_from == "batch_plan":
            return torch.cat([self.document_plan(part) for part in cost.split(self.plan_batch)])
        if self.theta_from == "column_sums":
            return plan_rows(distances, -self.distance_sums)
        return plan_rows(cost, potential)

    def document_plan(self, cost: Tensor) -> Tensor:
        """theta (B, K) whose topic shares over these documents are the learned ones."""
        theta, potential = scaled_plan(cost, self.topic_weights, self.topic_potential, **self.sinkhorn)
        if self.training:
            self.topic_potential.copy_(potential)
        return theta

    def word_plan(self) -> tuple[Tensor, Tensor]:
        """beta, and squared distances between topics and words, each (K, V)."""
        distances = squared_distances(self.topics, self.words)
        cost = self.word_sharpness * distances
        beta, potential = scaled_plan(cost, self.word_weights, self.word_potential, **self.sinkhorn)
        if self.training:
            self.word_potential.copy_(potential)
        return beta, distances

    def beta(self) -> Tensor:
        return self.word_plan()[0]

    def decode(self, theta: Tensor) -> Tensor:
        return Mixture(self.beta()).decode(theta)

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        return Mixture(self.beta()).bag_nll(theta, bow, counts)

    def soft_nll(self, theta: Tensor, targets: Nonzeros | Tensor, temperature: float) -> Tensor:
        return Mixture(self.beta()).soft_nll(theta, targets, temperature)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, enabled=False):
            posterior = self.encode(batch)
            theta = self.theta(posterior)
            beta, distances = self.word_plan()
            word_cost = self.transport_weight * (beta * distances).sum() / self.num_topics
            losses = {
                "recon": self.objective(Mixture(beta), theta, batch),
                "topic_transport": self.transport_weight * (theta * posterior[0]).sum(dim=1),
                "word_transport": word_cost.expand(len(theta)),
            }
        if self.classifier is not None:
            losses["classification"] = labelled_cross_entropy(self.classify(theta), batch.labels)
        return losses

    def initialize(self, datamodule: TopicDataModule) -> None:
        if isinstance(self.standardize, Standardize):
            self.standardize.fit(torch.from_numpy(np.array(datamodule.train_embeddings)))
        if self.init != "random":
            assignment = start_clusters(
                datamodule, self.init, self.init_neighbours, self.num_topics, self.seed
            )
            self.start_topics(datamodule, assignment)
            self.start_words(datamodule, cluster_words(datamodule.train_bow, assignment, self.num_topics))

    @torch.no_grad()
    def start_topics(self, datamodule: TopicDataModule, assignment: np.ndarray) -> None:
        """Point topic vectors from the overall mean to the clusters' means, with the clusters' shares."""
        vectors = self.train_vectors(datamodule)
        members = F.one_hot(torch.from_numpy(assignment), self.num_topics).to(vectors)
        means = members.T @ (vectors - vectors.mean(dim=0))
        self.topics.copy_(self.init_length * F.normalize(means, dim=1))
        self.topic_weights.copy_((members.sum(dim=0) + 1).log())

    @torch.no_grad()
    def start_words(self, datamodule: TopicDataModule, words: np.ndarray) -> None:
        """Set word vectors whose plan is words (K, V), as near as possible to each word's documents."""
        holders = datamodule.train_bow.T @ self.train_vectors(datamodule).cpu().numpy()
        smooth = torch.from_numpy(words + 1 / self.num_words)
        products = smooth.log() / (2 * self.word_sharpness)
        self.words.copy_(
            fit_products(self.topics.cpu(), products, F.normalize(torch.from_numpy(holders).float(), dim=1))
        )
        self.word_weights.copy_(smooth.mean(dim=0).log())

    @torch.no_grad()
    def finalize(self, datamodule: TopicDataModule) -> None:
        """Compute the potentials of the final weights over all training documents."""
        self.train()
        distances = squared_distances(self.train_vectors(datamodule), self.topics)
        self.theta((distances, self.topic_potential))
        self.word_plan()
        self.eval()

    def train_vectors(self, datamodule: TopicDataModule) -> Tensor:
        """Unit vectors (N, E) of the training documents."""
        return self.read(torch.from_numpy(datamodule.train_embeddings).to(self.device))

    def rank_words(self, theta: np.ndarray, beta: np.ndarray, bow: Any) -> np.ndarray:
        """Scores (K, V) by which the words of a topic are ranked; theta and bow of the training documents."""
        return rank_by_usage(theta, bow, self.readout_smoothing) if self.readout == "usage" else beta


def scaled_plan(
    cost: Tensor, column_weights: Tensor, start: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Plan (N, M) of N equal masses to softmax(column_weights), rows of sum 1, and its potential (M,)."""
    uniform = cost.new_full((len(cost),), -math.log(len(cost)))
    columns = column_weights.log_softmax(dim=0)
    plan, potential = sinkhorn_plan(cost, uniform, columns, start, tolerance, iterations)
    return plan * len(cost), potential
