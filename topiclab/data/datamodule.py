"""TopicDataModule: one corpus with its embeddings as whole tensors, for every model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
from scipy import sparse

from topiclab.cache import cached_arrays, key_hash
from topiclab.data.batch import DocumentTensors, tensors_of
from topiclab.data.corpus import SPLITS, Corpus
from topiclab.data.neighbours import nearest_neighbours
from topiclab.data.words.occurrences import Occurrences

if TYPE_CHECKING:
    from topiclab.data.soft_labels import SoftLabels

SEARCHED_NEIGHBOURS = 32  # found in one search, which then serves all smaller numbers


class TopicDataModule(L.LightningDataModule):
    """One corpus; a Lightning batch is a whole epoch, which the model itself cuts into mini-batches.

    embeddings: (D, E) float32 or None.  shows_labels: only then do labels reach a model.
    embedding_key names the embeddings in caches; cache_root is where derived arrays (neighbours) are kept.
    word_vectors: makes (V, E') word vectors on first use, for decoders that start from them; with a template,
    of each word in that template.
    occurrences: makes a vector for every single occurrence of a word on first use.
    teach: makes the soft labels of this data module on first use; None without a teacher.
    """

    def __init__(
        self,
        corpus: Corpus,
        embeddings: np.ndarray | None,
        *,
        shows_labels: bool = False,
        embedding_key: str | None = None,
        cache_root: Path | None = None,
        word_vectors: Callable[..., np.ndarray] | None = None,
        occurrences: Callable[..., Occurrences] | None = None,
        teach: Callable[[TopicDataModule], SoftLabels] | None = None,
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
        self.occurrences = occurrences
        self.teach = teach
        self.train_rows = corpus.rows("train")
        self.val_rows = corpus.rows("val")

    @property
    def fingerprint(self) -> str:
        """sha256 over corpus and embeddings: with the soft labels, all that a fit reads."""
        return key_hash({"corpus": self.corpus.fingerprint, "embedding": self.embedding_key})

    @property
    def soft_labels_read(self) -> str | None:
        """Key of the soft labels; None until something reads them."""
        return self.soft_labels.key if "soft_labels" in vars(self) else None

    @cached_property
    def soft_labels(self) -> SoftLabels:
        """The teacher's soft labels of every document; ValueError without a teacher."""
        if self.teach is None:
            raise ValueError("this objective needs soft labels; add teacher=neighbours, or use objective=bow")
        return self.teach(self)

    @property
    def embedding_dim(self) -> int:
        return 0 if self.embeddings is None else self.embeddings.shape[1]

    @property
    def num_classes(self) -> int:
        return len(self.corpus.label_names) if self.shows_labels else 0

    @cached_property
    def documents(self) -> DocumentTensors:
        """All documents as tensors on the CPU; labels only if the mode shows them, never for test rows."""
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

    def embedded_words(self) -> np.ndarray:
        """(V, E') float32 word vectors for a decoder to start from; ValueError where the input has none."""
        if self.word_vectors is None:
            raise ValueError(
                "model.word_init=embedder, but the embedder gives no word vectors; use word_init=random"
            )
        return np.array(self.word_vectors(), dtype=np.float32)

    def word_occurrences(self, subtokens: str | None = None) -> Occurrences:
        """Contextual vectors of every occurrence of vocabulary words; ValueError where the input has none."""
        if self.occurrences is None:
            raise ValueError(
                "model.words=token and contextual_type read a language model's states at every word, and "
                "this input gives none; use input=embedder with e.g. embedder=minilm, or model.words=type"
            )
        return self.occurrences(subtokens=subtokens)

    def train_neighbours(self, num_neighbours: int) -> np.ndarray:
        """Nearest training documents of each training document, itself excluded.

        Returns (N, k) int32 positions among the training rows, nearest first.
        """
        return self._neighbours("train", num_neighbours)

    def all_neighbours(self, num_neighbours: int) -> np.ndarray:
        """Nearest training documents of every document, itself excluded; (D, k) int32 positions as above."""
        train = self.train_neighbours(num_neighbours)
        found = np.empty((self.corpus.num_docs, train.shape[1]), np.int32)
        found[self.train_rows] = train
        others = np.setdiff1d(np.arange(self.corpus.num_docs), self.train_rows)
        found[others] = self._neighbours("others", train.shape[1])
        return found

    def _neighbours(self, of: str, num_neighbours: int) -> np.ndarray:
        """Search once per embedding and split, for at least SEARCHED_NEIGHBOURS neighbours."""
        searched = max(num_neighbours, SEARCHED_NEIGHBOURS)
        key = {
            "embedding": self.embedding_key,
            "rows": key_hash({"rows": self.train_rows.tolist()}),
            "of": of,
            "k": searched,
        }

        def search() -> dict[str, np.ndarray]:
            others = np.setdiff1d(np.arange(self.corpus.num_docs), self.train_rows)
            queries = None if of == "train" else np.asarray(self.embeddings)[others]
            return {"rows": nearest_neighbours(self.train_embeddings, searched, queries)}

        root = self.cache_root if self.embedding_key else None
        return np.asarray(cached_arrays(root, "neighbours", key, search)["rows"])[:, :num_neighbours]

    def train_dataloader(self) -> list[int]:
        return [0]

    def val_dataloader(self) -> list[int]:
        return [0] if len(self.val_rows) else []
