"""NMF: non-negative matrix factorisation of TF-IDF."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import NMF as SklearnNMF
from sklearn.decomposition import non_negative_factorization
from sklearn.preprocessing import normalize

from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count
from topiclab.models.base.classical_model import ClassicalModel
from topiclab.result import to_distributions


class NMF(ClassicalModel):
    """Non-negative factorisation of TF-IDF rows of unit length (Lee & Seung 1999; scikit-learn)."""

    arrays = ("components", "idf")

    def __init__(self, *, max_iter: Count, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.options: dict[str, Any] = {"max_iter": max_iter, "tol": 1e-3, "random_state": self.seed}

    def _fit(self, datamodule: TopicDataModule) -> None:
        bow = datamodule.train_bow
        num_docs, num_words = bow.get_shape()
        if self.num_topics > min(num_docs, num_words):
            raise ValueError(
                f"num_topics={self.num_topics}, but model=nmf finds at most {min(num_docs, num_words)} in "
                f"{num_docs} training documents of {num_words} words; ask for fewer, or raise "
                "data.vocabulary.size"
            )
        frequency = np.bincount(bow.indices, minlength=bow.get_shape()[1])
        self.idf = np.log((1 + bow.get_shape()[0]) / (1 + frequency)) + 1
        count: Any = self.num_topics
        model = SklearnNMF(count, init="nndsvd", **self.options).fit(self._tfidf(bow))
        self.components = model.components_

    def _tfidf(self, bow: sparse.csr_matrix) -> sparse.csr_matrix:
        weighted: Any = normalize(bow @ sparse.diags_array(self.idf))
        return sparse.csr_matrix(weighted)

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        count: Any = self.num_topics
        weights = non_negative_factorization(
            self._tfidf(bow), H=self.components, n_components=count, update_H=False, **self.options
        )[0]
        return to_distributions(weights, 1 / self.num_topics).astype(np.float32)

    def _beta(self) -> np.ndarray:
        return to_distributions(self.components, 1 / self.components.shape[1])
