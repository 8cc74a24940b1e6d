"""Warm start: clusters of documents from which a topic model starts, instead of from noise.

Short texts give a variational topic model too few words to find its topics before the KL term closes the
posterior (the collapse published for ProdLDA on short text); k-means on neighbour-smoothed
embeddings, or on soft labels, costs seconds and does not collapse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.cluster import KMeans
from torch.nn import functional as F

from topiclab.data.batch import DocumentTensors
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.targets import distributions
from topiclab.data.unit_rows import unit_rows
from topiclab.models.base.encoder import Encoder
from topiclab.models.base.neighbourhoods import neighbourhood_views, smooth
from topiclab.result import to_distributions


def start_clusters(
    datamodule: TopicDataModule, init: str, num_neighbours: int, num_topics: int, seed: int
) -> np.ndarray:
    """Initial cluster (N,) of every training document.

    init: `neighbourhoods` clusters the words of each document and of its num_neighbours nearest, beside its
    embedding (`neighbourhood_views`); `kmeans` clusters embeddings, each averaged with its num_neighbours
    nearest (0: as they are); `soft_labels` clusters the teacher's soft labels, by Hellinger distance.
    """
    if init == "soft_labels":
        labels = datamodule.soft_labels
        words = distributions(labels, labels.temperature).values[datamodule.train_rows]
        roots = np.sqrt(words.astype(np.float32))  # rows of length 1
        return cluster(roots, num_topics, seed)
    vectors = datamodule.train_embeddings
    if init == "neighbourhoods":
        neighbours = datamodule.train_neighbours(num_neighbours)
        return cluster(neighbourhood_views(vectors, neighbours, datamodule.train_bow), num_topics, seed)
    if num_neighbours:
        vectors = smooth(vectors, datamodule.train_neighbours(num_neighbours))
    return cluster(unit_rows(vectors), num_topics, seed)


def cluster(vectors: np.ndarray | sparse.csr_matrix, num_topics: int, seed: int) -> np.ndarray:
    """k-means assignment (N,) int64 of unit vectors, from one k-means++ start."""
    options: dict[str, Any] = {"n_init": 1, "max_iter": 30, "random_state": seed}
    return KMeans(num_topics, **options).fit_predict(vectors).astype(np.int64)


def cluster_words(bow: sparse.csr_matrix, assignment: np.ndarray, num_topics: int) -> np.ndarray:
    """Mean word distribution of each cluster's documents, all documents weighing the same; (K, V) float64.

    An empty cluster, or one whose documents hold no vocabulary word, gets the corpus distribution.
    """
    lengths = np.maximum(np.asarray(bow.sum(axis=1)).ravel(), 1)
    members = sparse.csr_matrix(
        (1 / lengths, (assignment, np.arange(len(assignment)))), (num_topics, len(assignment))
    )
    words = sparse.csr_matrix(members @ bow).toarray()
    return to_distributions(words, words.sum(axis=0) / words.sum())


def teach_clusters(
    encoder: Encoder,
    documents: DocumentTensors,
    train_rows: np.ndarray,
    assignment: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
) -> None:
    """Train the encoder in place so that its mean predicts each training document's cluster (cross-entropy).

    documents: the whole corpus.  train_rows: (N,).  assignment: (N,) clusters of the training documents.
    """
    device = next(encoder.parameters()).device
    documents = documents.to(device)
    rows = torch.from_numpy(train_rows).to(device)
    target = torch.full((len(documents),), -1, device=device)
    target[rows] = torch.from_numpy(assignment).to(device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=lr, fused=True)
    encoder.train()
    for _ in range(epochs):
        order = rows[torch.randperm(len(rows))]
        for batch in documents.batches(order, max(1, -(-len(rows) // batch_size))):
            optimizer.zero_grad()
            F.cross_entropy(encoder(batch)[0], target[batch.rows]).backward()
            optimizer.step()
