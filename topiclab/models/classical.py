"""LDA and NMF: the baselines that need no gradient, as estimators."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gensim.matutils import Sparse2Corpus
from gensim.models import LdaModel
from lightning.pytorch.loggers import Logger
from scipy import sparse
from sklearn.decomposition import NMF as SklearnNMF
from sklearn.decomposition import non_negative_factorization
from sklearn.preprocessing import normalize

from topiclab.data.datamodule import TopicDataModule
from topiclab.result import TopicResult, rank_words, to_distributions

logging.getLogger("gensim").setLevel(logging.WARNING)  # it reports every chunk of documents


class ClassicalModel:
    """Fit, state and the result's assembly; a subclass gives `_fit`, `transform` and `_beta`.

    Sizes are passed to every model; these read what they need from the data.
    """

    arrays: tuple[str, ...]  # names of the attributes that are the fitted state

    def __init__(self, *, num_topics: int, seed: int, **_sizes: Any) -> None:
        self.num_topics, self.seed = num_topics, seed
        self.info: dict[str, Any] = {}  # facts of the fit, for the result

    def fit(
        self,
        datamodule: TopicDataModule,
        folder: Path,
        trainer: Mapping[str, Any],
        loggers: Sequence[Logger] = (),
    ) -> TopicResult:
        corpus = datamodule.corpus
        self._fit(datamodule)
        theta = self.transform(corpus.bow, datamodule.embeddings)
        beta = self._beta().astype(np.float32)
        scores = self._rank(theta[datamodule.train_rows], datamodule.train_bow)
        return TopicResult(
            theta,
            beta,
            corpus.vocab,
            top_words=rank_words(scores),
            word_nll=self._word_nll(theta, corpus.bow),
            info=self.info,
        )

    def state(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(getattr(self, name)) for name in self.arrays}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        if missing := sorted(set(self.arrays) - set(state)):
            raise ValueError(
                f"the saved model lacks {', '.join(missing)}; it was fitted by another model, fit it again"
            )
        for name in self.arrays:
            setattr(self, name, np.asarray(state[name]))

    def _fit(self, datamodule: TopicDataModule) -> None:
        raise NotImplementedError

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        raise NotImplementedError

    def _beta(self) -> np.ndarray:
        """Word distributions (K, V)."""
        raise NotImplementedError

    def _rank(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        """Scores by which the words of a topic are ranked; theta and bow of the training documents."""
        return self._beta()

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray | None:
        """Nats of every bag; None where the model defines no likelihood of words."""
        return None


class LDA(ClassicalModel):
    """Latent Dirichlet allocation, gensim's online variational Bayes (Blei et al. 2003; Hoffman et al. 2010).

    passes, chunksize: gensim's defaults (1, 2000) leave topics unconverged; 20 over whole batches are a fair
    baseline.
    """

    arrays = ("topic_counts", "alpha")

    def __init__(
        self,
        *,
        passes: int,
        iterations: int,
        chunksize: int | None,
        alpha: str,
        eta: str | None,
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


class NMF(ClassicalModel):
    """Non-negative factorisation of TF-IDF (Lee & Seung 1999; scikit-learn), rows of unit length."""

    arrays = ("components", "idf")

    def __init__(self, *, max_iter: int, **sizes: Any) -> None:
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


def words_nll(theta: np.ndarray, beta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
    """Nats of every bag under the mixture theta beta; (D,) float64."""
    num_docs = bow.get_shape()[0]
    docs = np.repeat(np.arange(num_docs), np.diff(bow.indptr))
    probs = np.einsum("nk,nk->n", theta[docs], beta.T[bow.indices])
    nats: np.ndarray = bow.data * np.log(probs)
    return -np.bincount(docs, nats, minlength=num_docs)
