"""Neighbours as teacher: a document's soft label is the mean TF-IDF bag of its nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

if TYPE_CHECKING:
    from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count


class NeighbourTeacher:
    """Retrieval in embedding space: a document is expected to say what the nearest training documents say.

    Z_dv = (share of word v in document d) * ln(1 + N / df_v); the label is the mean of Z over the document
    and its num_neighbours nearest training documents by cosine, scaled to sum 1. It needs no language model,
    and a document without known words gets its neighbours' words. Held-out documents are never neighbours.
    A document whose vector is 0 has no neighbours and gets the label of the average document.
    """

    def __init__(self, num_neighbours: Count) -> None:
        self.num_neighbours = num_neighbours

    def fingerprint(self, datamodule: TopicDataModule) -> dict[str, Any]:
        return {
            "teacher": "neighbours",
            "version": 1 if has_direction(datamodule).all() else 2,  # 1: arbitrary ones for a vector of 0
            "num_neighbours": self.num_neighbours,
            "corpus": datamodule.corpus.fingerprint,
            "embedding": datamodule.embedding_key,
        }

    def prepare(self, datamodule: TopicDataModule) -> dict[str, Any]:
        self.bags = tfidf_bags(datamodule.corpus.bow, datamodule.train_rows)
        self.train_rows = datamodule.train_rows
        self.neighbours = datamodule.all_neighbours(self.num_neighbours)
        mean = np.asarray(self.bags[self.train_rows].sum(axis=0)).ravel()
        self.background = mean / mean.sum()
        self.has_neighbours = has_direction(datamodule)
        num_without = int((~self.has_neighbours).sum())
        return {"num_neighbours": int(self.neighbours.shape[1]), "documents_without_vector": num_without}

    def label(self, rows: np.ndarray) -> tuple[np.ndarray, None]:
        """Log-probabilities (n, V), -inf at words that no neighbour uses."""
        near = self.train_rows[self.neighbours[rows]]
        graph = sparse.csr_matrix(
            (np.ones(near.size, np.float32), near.ravel(), np.arange(0, near.size + 1, near.shape[1])),
            (len(rows), self.bags.shape[0]),  # type: ignore[misc]
        )
        said = np.asarray((graph @ self.bags + self.bags[rows]).todense(), np.float32)
        mass = said.sum(axis=1, keepdims=True) * self.has_neighbours[rows, None]
        said = np.where(mass > 0, said / np.where(mass > 0, mass, 1), self.background)
        with np.errstate(divide="ignore"):
            return np.log(said).astype(np.float32), None


def has_direction(datamodule: TopicDataModule) -> np.ndarray:
    """True for documents whose vector is not 0, (D,) bool; ValueError without vectors."""
    if datamodule.embeddings is None:
        raise ValueError(
            "teacher=neighbours needs document vectors; choose an embedder, e.g. embedder=minilm"
        )
    return np.any(datamodule.embeddings, axis=1)


def tfidf_bags(bow: sparse.csr_matrix, train_rows: np.ndarray) -> sparse.csr_matrix:
    """Word shares of each document times ln(1 + N / df) of the training documents; (D, V) float32."""
    train = bow[train_rows]
    frequency = np.bincount(train.indices, minlength=bow.get_shape()[1])
    weights = np.log1p(len(train_rows) / np.maximum(frequency, 1))
    shares: Any = normalize(bow.astype(np.float32), norm="l1")
    return sparse.csr_matrix(shares @ sparse.diags(weights), dtype=np.float32)
