"""k-means on document vectors or soft labels, words by class-based TF-IDF: the bar to pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans as SklearnKMeans

from topiclab.data.datamodule import TopicDataModule
from topiclab.data.neighbours import cosines, nearest_neighbours, unit_rows
from topiclab.models.classical import ClassicalModel
from topiclab.models.vote import neighbour_vote
from topiclab.models.warmstart import smooth, start_clusters
from topiclab.result import to_distributions

VOTERS = 15


class KMeans(ClassicalModel):
    """k-means on the document embeddings; words by class-based TF-IDF (Grootendorst 2022).

    theta is one-hot: a cluster is a topic.
    neighbours: above 0, every training document is averaged with so many nearest ones before clustering, on
    centred unit vectors (`warmstart.smooth`): the control of models that start from such clusters. An unseen
    document is averaged with its nearest training documents like one of them; by its own vector alone it
    would lose .05 purity (stackoverflow, held out).
    reads: `soft_labels` clusters what the teacher says of the training documents, the control of models that
    start there. An unseen document joins the cluster that its VOTERS nearest training documents vote for.
    """

    def __init__(
        self, *, n_init: int, max_iter: int, neighbours: int = 0, reads: str = "embeddings", **sizes: Any
    ) -> None:
        super().__init__(**sizes)
        self.options: dict[str, Any] = {"n_init": n_init, "max_iter": max_iter, "random_state": self.seed}
        self.neighbours, self.reads = neighbours, reads
        fitted = {"soft_labels": ("vectors", "members"), "embeddings": ("centroids",)}[reads]
        is_smoothed = neighbours > 0 and reads == "embeddings"
        self.arrays = ("word_scores", *fitted, *(["vectors"] if is_smoothed else []))

    def _fit(self, datamodule: TopicDataModule) -> None:
        vectors = self.vectors = datamodule.train_embeddings
        if self.reads == "soft_labels":
            assignment = start_clusters(datamodule, self.reads, 0, self.num_topics, self.seed)
        else:
            if self.neighbours:
                vectors = smooth(vectors, datamodule.train_neighbours(self.neighbours))
            model = SklearnKMeans(self.num_topics, **self.options)
            assignment = model.fit_predict(vectors)
            self.centroids = model.cluster_centers_
        members = np.zeros((len(vectors), self.num_topics), dtype=np.float32)
        members[np.arange(len(vectors)), assignment] = 1
        self.members = members
        self.word_scores = class_tfidf(members, datamodule.train_bow)

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        if embeddings is None:
            raise ValueError(
                "model=kmeans clusters embeddings, but the documents come without; choose an embedder"
            )
        vectors = np.asarray(embeddings, dtype=np.float32)
        if self.reads == "soft_labels":
            return one_hot(-neighbour_vote(vectors, self.vectors, self.members, VOTERS))
        if self.neighbours and len(vectors):
            vectors = self._smooth(vectors)
        return one_hot((self.centroids**2).sum(axis=1) - 2 * vectors @ self.centroids.T)

    def _smooth(self, vectors: np.ndarray) -> np.ndarray:
        """`warmstart.smooth` with the training documents as neighbours, copies of a vector aside."""
        mean = self.vectors.mean(axis=0)
        rows = nearest_neighbours(self.vectors, self.neighbours + 1, vectors)
        is_kept = cosines(vectors, self.vectors, rows) < 1 - 1e-6
        is_kept &= is_kept.cumsum(axis=1) <= self.neighbours
        offsets = np.arange(0, rows.size + 1, rows.shape[1])
        graph = sparse.csr_matrix(
            (is_kept.ravel().astype(np.float32), rows.ravel(), offsets),
            shape=(len(rows), len(self.vectors)),
        )
        return unit_rows(unit_rows(vectors - mean) + graph @ unit_rows(self.vectors - mean))

    def _beta(self) -> np.ndarray:
        return self.word_scores / self.word_scores.sum(axis=1, keepdims=True)


def one_hot(distances: np.ndarray) -> np.ndarray:
    """1 at the least of each row, else 0; (N, K) float32."""
    theta = np.zeros_like(distances, dtype=np.float32)
    theta[np.arange(len(theta)), distances.argmin(axis=1)] = 1
    return theta


def class_tfidf(members: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
    """(K, V): term frequency in a class times log(1 + mean words a class / frequency of the word) (BERTopic).

    members: (N, K) 0/1.  A class without words gets the words of the whole corpus.
    """
    counts = np.asarray((bow.T @ members).T, dtype=np.float64)
    frequency = counts.sum(axis=0)
    term_frequency = to_distributions(counts, frequency / frequency.sum())
    return term_frequency * np.log1p(frequency.sum() / len(counts) / np.maximum(frequency, 1))
