"""LDA: latent Dirichlet allocation by online variational Bayes."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
from gensim.matutils import Sparse2Corpus
from gensim.models import LdaModel
from scipy import sparse

from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive
from topiclab.models.base.classical_model import ClassicalModel, words_nll

logging.getLogger("gensim").setLevel(logging.WARNING)  # it reports every chunk of documents


class LDA(ClassicalModel):
    """Latent Dirichlet allocation, gensim's online variational Bayes (Blei et al. 2003; Hoffman et al. 2010).

    passes, chunksize: gensim's defaults (1, 2000) leave topics unconverged; 20 passes over the whole corpus
    as one chunk are a fair baseline.
    """

    arrays = ("topic_counts", "alpha")

    def __init__(
        self,
        *,
        passes: Count,
        iterations: Count,
        chunksize: Count | None,
        alpha: Literal["symmetric", "asymmetric", "auto"],
        eta: Positive | None,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.options = {"passes": passes, "iterations": iterations, "chunksize": chunksize}
        if self.num_topics == 1 and alpha == "auto":  # nothing to learn: every proportion is 1
            alpha = "symmetric"
        self.priors = {"alpha": alpha, "eta": eta}

    def _model(self, num_words: int, **options: Any) -> Any:
        words = dict(enumerate(map(str, range(num_words))))
        fixed: dict[str, Any] = {"random_state": self.seed, "dtype": np.float64, "eval_every": None}
        return LdaModel(num_topics=self.num_topics, id2word=words, **fixed, **options)

    def _fit(self, datamodule: TopicDataModule) -> None:
        bow = datamodule.train_bow
        model = self._model(bow.get_shape()[1], **self.options, **self.priors)
        model.chunksize = model.chunksize or bow.get_shape()[0]
        model.update(Sparse2Corpus(bow, documents_columns=False))
        self.topic_counts, self.alpha = model.state.get_lambda(), model.alpha

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        model = self._model(bow.get_shape()[1], iterations=self.options["iterations"])
        model.alpha = self.alpha
        model.state.sstats[:] = self.topic_counts - model.eta
        model.sync_state()
        model.random_state.seed(self.seed)
        gamma = np.concatenate(
            [
                model.inference(list(Sparse2Corpus(bow[start : start + 2000], documents_columns=False)))[0]
                for start in range(0, bow.get_shape()[0], 2000)
            ]
        )
        return (gamma / gamma.sum(axis=1, keepdims=True)).astype(np.float32)

    def _beta(self) -> np.ndarray:
        return self.topic_counts / self.topic_counts.sum(axis=1, keepdims=True)

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return words_nll(theta, self._beta(), bow)
