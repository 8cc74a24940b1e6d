"""TopicDataModule: one corpus with its embeddings as whole tensors, for every model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

import lightning as L
import numpy as np
from scipy import sparse

from topiclab.data.batch import DocumentTensors, tensors_of
from topiclab.data.cache import cached_arrays, key_hash
from topiclab.data.corpus import SPLITS, Corpus
from topiclab.data.neighbours import nearest_neighbours


class TopicDataModule(L.LightningDataModule):
    """Documents of one corpus; one Lightning batch is one epoch, which the model cuts into mini-batches
    itself.

    embeddings: (D, E) float32 or None.  shows_labels: only then do labels reach a model.
    embedding_key names the embeddings in caches; cache_root is where derived arrays (neighbours) are kept.
    word_vectors: makes (V, E') word vectors on first use, for decoders that start from them.
    """

    def __init__(
        self,
        corpus: Corpus,
        embeddings: np.ndarray | None,
        *,
        shows_labels: bool = False,
        embedding_key: str | None = None,
        cache_root: Path | None = None,
        word_vectors: Callable[[], np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        if embeddings is not None and len(embeddings) != corpus.num_docs:
            raise ValueError(
                f"{len(embeddings)} embeddings for {corpus.num_docs} documents; embed this corpus again"
            )
        if shows_labels and corpus.labels is None:
            raise ValueError(f"corpus {corpus.name} has no labels to show; name data.label_column")
        self.corpus = corpus
        self.embeddings = embeddings
        self.shows_labels = shows_labels
        self.embedding_key = embedding_key
        self.cache_root = cache_root
        self.word_vectors = word_vectors
        self.train_rows = corpus.rows("train")
        self.val_rows = corpus.rows("val")

    @property
    def fingerprint(self) -> str:
        """sha256 over corpus and embeddings: what a checkpoint can be gone on from with."""
        return key_hash({"corpus": self.corpus.fingerprint, "embedding": self.embedding_key})

    @property
    def embedding_dim(self) -> int:
        return 0 if self.embeddings is None else self.embeddings.shape[1]

    @property
    def num_classes(self) -> int:
        return len(self.corpus.label_names) if self.shows_labels else 0

    @cached_property
    def documents(self) -> DocumentTensors:
        """All documents as tensors on the CPU; labels only when the mode shows them, and never of test
        rows."""
        labels = None
        if self.shows_labels and self.corpus.labels is not None:
            labels = np.where(self.corpus.split == SPLITS.index("test"), -1, self.corpus.labels)
        return tensors_of(self.corpus.bow, self.embeddings, labels)

    @property
    def train_bow(self) -> sparse.csr_matrix:
        return self.corpus.bow[self.train_rows]

    @property
    def train_embeddings(self) -> np.ndarray:
        """(N, E) embeddings of the training rows; ValueError when the run has none."""
        if self.embeddings is None:
            raise ValueError("this model needs document embeddings; choose an embedder, e.g. embedder=lsa")
        return np.asarray(self.embeddings)[self.train_rows]

    def train_neighbours(self, num_neighbours: int) -> np.ndarray:
        """Nearest training documents of each training document, computed once per embedding; (N, k) int32."""
        key = {
            "embedding": self.embedding_key,
            "rows": key_hash({"rows": self.train_rows.tolist()}),
            "k": num_neighbours,
        }
        root = self.cache_root if self.embedding_key else None
        compute = partial(nearest_neighbours, self.train_embeddings, num_neighbours)
        return np.asarray(cached_arrays(root, "neighbours", key, lambda: {"rows": compute()})["rows"])

    def train_dataloader(self) -> list[int]:
        return [0]

    def val_dataloader(self) -> list[int]:
        return [0] if len(self.val_rows) else []
