"""A sentence encoder as teacher: a document's soft label is its similarity to every word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field
from sklearn.preprocessing import normalize

from topiclab.data.unit_rows import unit_rows
from topiclab.teach.similarity import Centring, Similarity

if TYPE_CHECKING:
    from topiclab.data.datamodule import TopicDataModule

Template = Annotated[str, Field(pattern=r"\{word\}", description="a text with {word} in it")]


class EncoderTeacher:
    """Cosine of document and word vectors of the run's embedder; it needs no other model.

    words: source of a word's vector: the word `alone`; the word in a `template` that holds {word}; or the
    `centroid`, the mean vector of the training documents that hold the word.
    centring: see `Similarity`.
    prior: `uniform`, or `frequency`: a word's share of the training tokens, by which common words win where
    similarity does not decide.
    """

    def __init__(
        self,
        words: Literal["alone", "template", "centroid"],
        template: Template,
        centring: Centring,
        prior: Literal["uniform", "frequency"],
    ) -> None:
        self.words, self.template, self.prior = words, template, prior
        self.centring: Centring = centring

    def fingerprint(self, datamodule: TopicDataModule) -> dict[str, Any]:
        return {
            "teacher": "encoder",
            "version": 1,
            "words": self.words,
            "template": self.template if self.words == "template" else None,
            "centring": self.centring,
            "prior": self.prior,
            "corpus": datamodule.corpus.fingerprint,
            "embedding": datamodule.embedding_key,
        }

    def prepare(self, datamodule: TopicDataModule) -> dict[str, Any]:
        if datamodule.embeddings is None:
            raise ValueError(
                "teacher=encoder needs document vectors; choose an embedder, e.g. embedder=minilm"
            )
        self.vectors = datamodule.embeddings
        shares = word_shares(datamodule) if self.prior == "frequency" else None
        words = self._word_vectors(datamodule)
        self.similarity = Similarity(self.vectors, words, datamodule.train_rows, self.centring, shares)
        return self.similarity.facts()

    def label(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scaled cosines (n, V) and the documents' vectors (n, E)."""
        return self.similarity.logits(rows), np.asarray(self.vectors[rows], np.float32)

    def _word_vectors(self, datamodule: TopicDataModule) -> np.ndarray:
        if self.words == "centroid":
            return centroids(datamodule)
        if datamodule.word_vectors is None:
            raise ValueError(
                f"teacher.words={self.words} needs an embedder that reads words; use teacher.words=centroid"
            )
        if self.words == "alone":
            return datamodule.word_vectors()
        return datamodule.word_vectors(template=self.template)


def centroids(datamodule: TopicDataModule) -> np.ndarray:
    """Mean of the unit vectors of the training documents that hold each word; (V, E), 0 for words in none."""
    holds = datamodule.train_bow.T.astype(bool).astype(np.float32)
    means: Any = normalize(holds, norm="l1") @ unit_rows(datamodule.train_embeddings)
    return np.asarray(means)


def word_shares(datamodule: TopicDataModule) -> np.ndarray:
    """Each word's share of the training tokens; (V,) float64."""
    totals = np.asarray(datamodule.train_bow.sum(axis=0), np.float64).ravel()
    return totals / totals.sum()
