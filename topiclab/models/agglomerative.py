"""Agglomerative clusters of document vectors: topics as unequal in size as the corpus has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.cluster.hierarchy import linkage

from topiclab.data.datamodule import TopicDataModule
from topiclab.data.unit_rows import unit_rows
from topiclab.limits import Count, Natural
from topiclab.models.base.classical_model import ClassicalModel
from topiclab.models.base.nearest_vote import joined_topics, one_hot
from topiclab.models.base.neighbourhoods import smooth
from topiclab.models.kmeans import cluster_words, silhouettes
from topiclab.nn.lloyd import Clusters, lloyd

CLUSTER_PASSES = 30  # at most, over the rows: clusters that will be merged need not converge


class Agglomerative(ClassicalModel):
    """Small k-means clusters, merged by average linkage of their centroids (UPGMA; Sokal and Michener 1958).

    k-means spreads its centroids over dense regions, so its topics are of similar size; linkage merges
    clusters that are near, and one topic may be many times as large as another. Vectors are first averaged
    with their nearest neighbours, repeatedly: diffusion on the neighbour graph draws dense regions together.
    theta is one-hot. An unseen document joins a topic by the k-NN vote of its nearest training documents
    (`nearest_vote.joined_topics`). Words are ranked by class-based TF-IDF (Grootendorst 2022).

    neighbours, smoothings: see `smooth`.  documents_per_cluster: mean number of training documents
    in a small cluster.  most_clusters: maximum number of these; linkage needs 4 bytes times its square.
    min_topic_size: minimum number of training documents of a topic, see `merged`.
    info: sizes of the topics over training documents; num_clusters, the number of clusters merged; silhouette
    of a sample of the vectors, overall and by topic.
    """

    arrays = ("word_scores", "vectors", "members")

    def __init__(
        self,
        *,
        neighbours: Natural,
        smoothings: Count,
        documents_per_cluster: Count,
        most_clusters: Count,
        min_topic_size: Count,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.neighbours, self.smoothings = neighbours, smoothings
        self.documents_per_cluster, self.most_clusters = documents_per_cluster, most_clusters
        self.min_topic_size = min_topic_size

    def _fit(self, datamodule: TopicDataModule) -> None:
        vectors = self.vectors = datamodule.train_embeddings
        num_clusters = min(len(vectors) // self.documents_per_cluster, self.most_clusters)
        if num_clusters < self.num_topics:
            raise ValueError(
                f"model.documents_per_cluster={self.documents_per_cluster} makes {num_clusters} clusters of "
                f"{len(vectors)} training documents, too few to merge to num_topics={self.num_topics}; lower "
                "either"
            )
        smoothed = smooth(vectors, datamodule.train_neighbours(self.neighbours), self.smoothings)
        clusters = lloyd(smoothed, num_clusters, seed=self.seed, spherical=True, max_iter=CLUSTER_PASSES)
        topics = merged(clusters, self.num_topics, self.min_topic_size)
        self.members = one_hot(topics, self.num_topics)
        self.word_scores = cluster_words(self.members, datamodule.train_bow)
        self.info = {
            "num_clusters": num_clusters,
            "sizes": np.bincount(topics, minlength=self.num_topics).tolist(),
            **silhouettes(unit_rows(vectors), topics, self.num_topics, seed=self.seed, is_cosine=True),
        }

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        return joined_topics(embeddings, self.vectors, self.members)

    def _beta(self) -> np.ndarray:
        return self.word_scores / self.word_scores.sum(axis=1, keepdims=True)


def merged(clusters: Clusters, num_topics: int, least: int) -> np.ndarray:
    """Topic (N,) int64 of each row, after merging clusters by average linkage of centroids' cosines.

    The tree is cut where num_topics of its branches hold at least `least` rows; smaller branches join the
    topic whose mean is nearest. Raises ValueError if no cut leaves num_topics such branches.
    """
    num_clusters, sizes = len(clusters.centroids), clusters.sizes
    if num_clusters == 1:
        return np.zeros(len(clusters.labels), dtype=np.int64)
    merges = linkage(clusters.centroids, "average", metric="cosine")[:, :2].astype(np.int64)
    mass = np.concatenate([sizes, np.zeros(len(merges), np.int64)])
    for place, pair in enumerate(merges):
        mass[num_clusters + place] = mass[pair].sum()
    is_large = mass >= least
    gains = is_large[merges].sum(axis=1) - is_large[num_clusters:]  # large branches added by undoing a merge
    # after each number of merges undone, starting with the last
    num_large = np.cumsum(np.concatenate([is_large[-1:], gains[::-1]]))
    cuts = np.flatnonzero(num_large == num_topics)
    if not len(cuts):
        raise ValueError(
            f"at most {num_large.max()} topics can have model.min_topic_size={least} of the "
            f"{len(clusters.labels)} training documents, but num_topics={num_topics}; lower either"
        )
    branch = np.arange(len(mass))
    for place in range(len(merges) - 1 - cuts[0], -1, -1):
        branch[merges[place]] = branch[num_clusters + place]
    branches, part = np.unique(branch[:num_clusters], return_inverse=True)
    means = np.zeros((len(branches), clusters.centroids.shape[1]), dtype=np.float32)
    np.add.at(means, part, sizes[:, None] * clusters.centroids)
    means = unit_rows(means)
    large = means[is_large[branches]]
    topic = (means @ large.T).argmax(axis=1)  # a large branch finds itself
    topic[is_large[branches]] = np.arange(num_topics)
    return topic[part][clusters.labels]
