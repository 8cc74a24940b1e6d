"""k-means on document vectors or soft labels, words by class-based TF-IDF: the baseline to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from scipy import sparse

from topiclab.atomic import atomic_file
from topiclab.data.class_tfidf import class_tfidf
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.neighbours import cosines, nearest_neighbours
from topiclab.data.unit_rows import unit_rows
from topiclab.limits import Count, Natural
from topiclab.models.base.classical_model import ClassicalModel
from topiclab.models.base.nearest_vote import joined_topics, one_hot
from topiclab.models.base.neighbourhoods import smooth
from topiclab.models.base.warmstart import start_clusters
from topiclab.nn.lloyd import Clusters, assign, lloyd
from topiclab.nn.silhouette import silhouette

SILHOUETTE_SAMPLE = 5000
MIN_QUARTILES = 8  # fewest documents of a cluster with an outlier rule of its own
DISTANCES = "distances.parquet"


class KMeans(ClassicalModel):
    """k-means on the document embeddings; words by class-based TF-IDF (Grootendorst 2022).

    theta is one-hot: a cluster is a topic.
    spherical: scale vectors and centroids to length 1, so that cosine decides (`nn.lloyd`).
    batch_size: documents per mini-batch, None for full passes.
    neighbours: above 0, every training document is averaged with this number of nearest ones before
    clustering, on centred unit vectors (`smooth`): the control for models that start from such
    clusters. An unseen document is averaged with its nearest training documents in the same way; assigned by
    its own vector alone it would lose .05 purity (stackoverflow, held out).
    reads: `soft_labels` clusters the teacher's soft labels of the training documents, the control for models
    that start there. An unseen document joins a cluster by the k-NN vote of its nearest training documents
    (`nearest_vote.joined_topics`).

    info: sizes of the clusters over training documents and, unless it reads soft labels, inertia, iterations,
    silhouette of a sample, overall and by topic, and outlier_share. The distance of an outlier to its
    centroid exceeds the third quartile of its cluster's training documents by more than 1.5 interquartile
    ranges (Tukey); a cluster of fewer than MIN_QUARTILES documents uses the quartiles of all. DISTANCES, a
    file of the run, marks the outliers.
    """

    def __init__(
        self,
        *,
        n_init: Count,
        max_iter: Count,
        spherical: bool = False,
        batch_size: Count | None = None,
        neighbours: Natural = 0,
        reads: Literal["embeddings", "soft_labels"] = "embeddings",
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.spherical = spherical
        self.options: dict[str, Any] = {"n_init": n_init, "max_iter": max_iter, "batch_size": batch_size}
        self.neighbours, self.reads = neighbours, reads
        fitted = {"soft_labels": ("vectors", "members"), "embeddings": ("centroids", "fences")}[reads]
        is_smoothed = neighbours > 0 and reads == "embeddings"
        self.arrays = ("word_scores", *fitted, *(["vectors"] if is_smoothed else []))

    def _fit(self, datamodule: TopicDataModule) -> None:
        vectors = self.vectors = datamodule.train_embeddings
        if self.reads == "soft_labels":
            assignment = start_clusters(datamodule, self.reads, 0, self.num_topics, self.seed)
        else:
            if self.neighbours:
                vectors = smooth(vectors, datamodule.train_neighbours(self.neighbours))
            found = lloyd(vectors, self.num_topics, seed=self.seed, spherical=self.spherical, **self.options)
            self.centroids, assignment = found.centroids, found.labels
            self.fences = outlier_fences(found)
            self.info = self._describe(vectors, found)
        self.members = one_hot(assignment, self.num_topics)
        self.info["sizes"] = np.bincount(assignment, minlength=self.num_topics).tolist()
        self.word_scores = cluster_words(self.members, datamodule.train_bow)

    def _describe(self, vectors: np.ndarray, found: Clusters) -> dict[str, Any]:
        is_outlier = np.sqrt(found.distances) > self.fences[found.labels]
        return {
            "inertia": found.inertia,
            "iterations": found.iterations,
            **silhouettes(vectors, found.labels, self.num_topics, seed=self.seed, is_cosine=self.spherical),
            "outlier_share": float(is_outlier.mean()),
        }

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        if self.reads == "soft_labels":
            return joined_topics(embeddings, self.vectors, self.members)
        if embeddings is None:
            raise ValueError(
                "model=kmeans clusters embeddings, but the documents have none; choose an embedder"
            )
        return one_hot(self.nearest(embeddings)[0], self.num_topics)

    def nearest(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Topic (D,) int32 of each document and its distance (D,) float32 to that centroid.

        Distances are Euclidean; if spherical, those of the vector scaled to length 1.
        """
        vectors = np.asarray(embeddings, dtype=np.float32)
        if self.neighbours and len(vectors):
            vectors = self._smooth(vectors)
        elif self.spherical:
            vectors = unit_rows(vectors)
        topics, squares = assign(vectors, self.centroids)
        return topics, np.sqrt(squares)

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write DISTANCES: id, topic, distance to its centroid and is_outlier of every document."""
        if self.reads == "soft_labels":
            return
        topics, distances = self.nearest(np.asarray(datamodule.embeddings))
        table = pa.table(
            {
                "id": pa.array(list(datamodule.corpus.ids), pa.string()),
                "topic": topics,
                "distance": distances,
                "is_outlier": distances > self.fences[topics],
            }
        )
        with atomic_file(folder / DISTANCES) as stream:
            parquet.write_table(table, stream)

    def _smooth(self, vectors: np.ndarray) -> np.ndarray:
        """`smooth` with training documents as neighbours, except copies of the vector itself."""
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


def outlier_fences(found: Clusters) -> np.ndarray:
    """Distance (K,) float32 to each centroid beyond which a document of its cluster is an outlier."""

    def fence(distances: np.ndarray) -> float:
        low, high = np.quantile(distances, (0.25, 0.75))
        return float(high + 1.5 * (high - low))

    distances = np.sqrt(found.distances)
    parts = np.split(distances[np.argsort(found.labels, kind="stable")], np.cumsum(found.sizes)[:-1])
    of_all = fence(distances)
    return np.array([fence(part) if len(part) >= MIN_QUARTILES else of_all for part in parts], np.float32)


def silhouettes(
    vectors: np.ndarray, topics: np.ndarray, num_topics: int, *, seed: int, is_cosine: bool
) -> dict[str, Any]:
    """silhouette of a seeded sample and topic_silhouettes, None for topics not in it; else the reason.

    vectors: (N, E).  topics: (N,).
    """
    try:
        mean, each = silhouette(vectors, topics, sample=SILHOUETTE_SAMPLE, seed=seed, is_cosine=is_cosine)
    except ValueError as reason:
        return {"silhouette": None, "silhouette_reason": str(reason)}
    by_topic = [None if np.isnan(value) else round(float(value), 4) for value in each]
    return {"silhouette": mean, "topic_silhouettes": by_topic + [None] * (num_topics - len(by_topic))}


def cluster_words(members: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
    """Class-based TF-IDF (K, V) of the words in each cluster; a cluster without words gets the corpus counts.

    members: (N, K) 0/1.
    """
    counts = np.asarray((bow.T @ members).T, dtype=np.float64)
    totals = counts.sum(axis=0)
    counts[counts.sum(axis=1) == 0] = totals
    return class_tfidf(counts, totals, len(counts))
