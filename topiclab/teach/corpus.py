"""The corpus itself as teacher: neighbours or similar words in a space built from its own counts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from topiclab.cache import key_hash
from topiclab.data.datamodule import TopicDataModule
from topiclab.embed.embedder import embed_corpus
from topiclab.limits import Count, Seed
from topiclab.teach.encoder import word_shares
from topiclab.teach.neighbours import NeighbourTeacher
from topiclab.teach.ppmi import ppmi_vectors
from topiclab.teach.similarity import Centring, Similarity


class CorpusTeacher:
    """Soft labels without pretrained weights, in any language: the control for teachers that read a model.

    space: `ppmi`, see `ppmi_vectors`; `lsa`, the vectors of `LsaEmbedder` for the raw texts. Both are learnt
    from the training documents and have dim dimensions; the documents' vectors are stored with the labels.
    label: `neighbours` labels as teacher=neighbours does, in this space; `similarity` as teacher=encoder
    does, with its centring and prior, where a word's vector is that of a document with only this word.
    A document without a vector gets the label of the average document.
    """

    def __init__(
        self,
        space: Literal["ppmi", "lsa"],
        label: Literal["neighbours", "similarity"],
        dim: Count,
        num_neighbours: Count,
        centring: Centring,
        prior: Literal["uniform", "frequency"],
        seed: Seed,
    ) -> None:
        self.space, self.source, self.dim, self.seed = space, label, dim, seed
        self.num_neighbours = num_neighbours
        self.centring: Centring = centring
        self.prior = prior

    def fingerprint(self, datamodule: TopicDataModule) -> dict[str, Any]:
        ways = {
            "neighbours": {"num_neighbours": self.num_neighbours},
            "similarity": {"centring": self.centring, "prior": self.prior},
        }
        return {"teacher": "corpus", "label": self.source, **ways[self.source], **self._place(datamodule)}

    def prepare(self, datamodule: TopicDataModule) -> dict[str, Any]:
        self.vectors, words = self._vectors(datamodule)
        if self.source == "similarity":
            shares = word_shares(datamodule) if self.prior == "frequency" else None
            similarity = Similarity(self.vectors, words, datamodule.train_rows, self.centring, shares)
            self.logits = similarity.logits
            return similarity.facts()
        placed = TopicDataModule(
            datamodule.corpus,
            self.vectors,
            embedding_key=key_hash(self._place(datamodule)),
            cache_root=datamodule.cache_root,
        )
        teacher = NeighbourTeacher(self.num_neighbours)
        facts = teacher.prepare(placed)
        self.logits = lambda rows: teacher.label(rows)[0]
        return facts

    def label(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, V), -inf at impossible words, and the documents' vectors (n, E)."""
        return self.logits(rows), np.asarray(self.vectors[rows], np.float32)

    def _place(self, datamodule: TopicDataModule) -> dict[str, Any]:
        """Cache key of the space."""
        return {
            "space": self.space,
            "version": 1,
            "dim": self.dim,
            "seed": self.seed,
            "corpus": datamodule.corpus.fingerprint,
        }

    def _vectors(self, datamodule: TopicDataModule) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the documents (D, E) and of the words (V, E)."""
        corpus = datamodule.corpus
        if self.space == "ppmi":
            return ppmi_vectors(corpus.bow, datamodule.train_rows, self.dim, self.seed)
        lsa = {"_target_": "topiclab.embed.lsa.LsaEmbedder", "dim": self.dim, "seed": self.seed}
        embeddings = embed_corpus(lsa, corpus, datamodule.cache_root, trainer=None)
        return embeddings.vectors, embeddings.embedder.encode(corpus.vocab)
