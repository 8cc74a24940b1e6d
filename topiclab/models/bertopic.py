"""BERTopic (Grootendorst 2022): UMAP, HDBSCAN and class-based TF-IDF by the author's package (extra
`bertopic`)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import sparse

from topiclab.data.datamodule import TopicDataModule
from topiclab.data.unit_rows import unit_rows
from topiclab.limits import Count
from topiclab.models.base.classical_model import ClassicalModel
from topiclab.models.base.nearest_vote import neighbour_vote
from topiclab.result import to_distributions


class BERTopic(ClassicalModel):
    """Clusters of reduced vectors, merged to num_topics; words by class-based TF-IDF over the vocabulary.

    outliers: treatment of documents that HDBSCAN leaves without a cluster. soft: theta of every document is
    its membership in every cluster; reassign: outliers get the topic of the nearest centroid; own_topic: they
    form one of the num_topics. The words are always those of the clusters' own documents.
    num_neighbours, num_components: of UMAP.  min_cluster_size: of HDBSCAN.
    With fewer clusters than num_topics the result has fewer topics. info: topics_found, clusters_found and
    outlier_share.

    theta of every document, unseen or not, is the mean theta of its num_neighbours nearest training
    documents, weighted by 1 / (1 - cosine): a training document finds itself and keeps its own theta. The
    package runs UMAP's transform and HDBSCAN's prediction instead, which take minutes and pickled objects;
    where neither gives an outlier, the two agree (tweet_topic: on all held-out documents). The state holds
    the training vectors, as UMAP does.
    """

    arrays = ("vectors", "memberships", "word_scores")
    vectors: np.ndarray
    memberships: np.ndarray
    word_scores: np.ndarray

    def __init__(
        self,
        *,
        outliers: Literal["own_topic", "reassign", "soft"],
        num_neighbours: Count,
        num_components: Count,
        min_cluster_size: Count,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.outliers, self.num_neighbours = outliers, num_neighbours
        self.num_components, self.min_cluster_size = num_components, min_cluster_size
        if outliers == "own_topic" and self.num_topics == 1:
            raise ValueError(
                "model.outliers=own_topic leaves no topic for the other documents with num_topics=1; ask for "
                "2, or use model.outliers=reassign"
            )

    def _fit(self, datamodule: TopicDataModule) -> None:
        vectors, bow = datamodule.train_embeddings, datamodule.train_bow
        clusters, soft = self._cluster(vectors)
        is_outlier = clusters < 0
        has_outlier_topic = bool(is_outlier.any()) and self.outliers != "own_topic"
        topics, scores = merge_clusters(clusters, vectors, bow, self.num_topics + has_outlier_topic)
        self.vectors = unit_rows(vectors)
        num_topics = int(topics.max()) + 1
        self.word_scores = scores[1:] if is_outlier.any() else scores
        if self.outliers == "soft":
            topic_of = np.zeros(soft.shape[1], dtype=np.int64)
            topic_of[clusters[~is_outlier]] = topics[~is_outlier]
            self.memberships = soft @ np.eye(num_topics)[topic_of]
        elif self.outliers == "own_topic" and is_outlier.any():
            self.memberships = np.eye(num_topics + 1)[topics]  # topic -1 selects the last row
            self.word_scores = np.roll(scores, -1, axis=0)
        else:
            self.memberships = np.where(is_outlier[:, None], 0, np.eye(num_topics)[topics])
        centroids = np.stack([self.vectors[topics == topic].mean(axis=0) for topic in range(num_topics)])
        nearest = np.eye(self.memberships.shape[1])[(self.vectors @ unit_rows(centroids).T).argmax(axis=1)]
        self.memberships = to_distributions(self.memberships, nearest).astype(np.float32)
        self.info = {
            "topics_found": num_topics,
            "clusters_found": int(clusters.max()) + 1,
            "outlier_share": float(is_outlier.mean()),
        }

    def _cluster(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cluster (N,) of every document, -1 for outliers, and its membership (N, C) in each cluster."""
        least = max(self.num_components + 1, self.min_cluster_size)
        if len(vectors) <= least:
            raise ValueError(
                f"{len(vectors)} training documents, but model=bertopic needs more than {least}; give more, "
                "or lower model.min_cluster_size and model.num_components"
            )
        from hdbscan import HDBSCAN, all_points_membership_vectors  # slow to import, like umap
        from umap import UMAP

        reduced = UMAP(
            n_neighbors=min(self.num_neighbours, len(vectors) - 1),
            n_components=self.num_components,
            min_dist=0.0,
            metric="cosine",
            random_state=self.seed,
            n_jobs=1,
        ).fit_transform(vectors)
        clusterer = HDBSCAN(min_cluster_size=self.min_cluster_size, prediction_data=True).fit(reduced)
        clusters = np.asarray(clusterer.labels_, dtype=np.int64)
        num_clusters = int(clusters.max()) + 1
        if not num_clusters:
            raise ValueError(
                f"HDBSCAN found no cluster among {len(vectors)} training documents: all are outliers; "
                f"lower model.min_cluster_size={self.min_cluster_size}, or use model=kmeans"
            )
        if self.outliers != "soft":
            return clusters, np.empty((len(vectors), 0))
        memberships = np.asarray(all_points_membership_vectors(clusterer), dtype=np.float64)
        return clusters, np.maximum(memberships.reshape(len(vectors), num_clusters), 0)

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        if embeddings is None:
            raise ValueError(
                "model=bertopic clusters embeddings, but the documents have none; choose an embedder"
            )
        return neighbour_vote(embeddings, self.vectors, self.memberships, self.num_neighbours)

    def _beta(self) -> np.ndarray:
        mass = self.word_scores.sum(axis=0)
        return to_distributions(self.word_scores, mass / mass.sum())


def merge_clusters(
    clusters: np.ndarray, vectors: np.ndarray, bow: sparse.csr_matrix, num_topics: int
) -> tuple[np.ndarray, np.ndarray]:
    """Topic (N,) of every document, -1 for an outlier, and c-TF-IDF (T, V), the outliers' row first, if any.

    The package merges the clusters nearest to one another until num_topics are left, including that of the
    outliers, and sorts topics by size. Words are passed as their indices, so that its tokenizer finds the
    tokens counted in bow; words without occurrences are left out, since it would divide by their frequency.
    """
    from bertopic import BERTopic as Package
    from bertopic.cluster import BaseCluster
    from bertopic.dimensionality import BaseDimensionalityReduction
    from sklearn.feature_extraction.text import CountVectorizer

    names = np.array([str(word) for word in range(bow.get_shape()[1])], dtype=object)
    tokens = np.repeat(names[bow.indices], np.asarray(bow.data, dtype=np.int64))
    ends = np.concatenate([[0], np.cumsum(bow.data)])[bow.indptr]
    texts = [" ".join(part) for part in np.split(tokens, ends[1:-1])]
    seen = np.flatnonzero(np.bincount(bow.indices, minlength=len(names)))
    package = Package(
        language="multilingual",  # english would strip all but Latin letters
        nr_topics=num_topics,
        umap_model=BaseDimensionalityReduction(),
        hdbscan_model=BaseCluster(),
        vectorizer_model=CountVectorizer(vocabulary=names[seen].tolist(), token_pattern=r"\S+"),
    )
    topics = np.asarray(package.fit_transform(texts, vectors, y=clusters)[0], dtype=np.int64)
    ctfidf: Any = package.c_tf_idf_
    scores = np.zeros((ctfidf.shape[0], len(names)))
    scores[:, seen] = ctfidf.toarray()
    return topics, scores
