"""PT: the pseudo-document topic model of short texts (Zuo et al. 2016), tomotopy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive
from topiclab.models.base.classical_model import ClassicalModel, words_nll
from topiclab.models.sampling.components import component_posteriors
from topiclab.models.sampling.tokens import token_lists, topic_counts


class PT(ClassicalModel):
    """Short texts are parts of longer pseudo documents, which have the proportions of LDA.

        l_d ~ Categorical(phi),   z ~ Categorical(theta_l),   w ~ Categorical(beta_z)

    Collapsed Gibbs sampling infers which text belongs to which pseudo document. The theta of the result is
    the mean of the pseudo documents' proportions under the posterior of l_d given all words of the text, so
    that a training document and the same unseen text get the same.

    num_pseudo_documents: P; published experiments: 100 to 1000.
    alpha: initial value of the learned prior of the proportions.  eta: prior of the words.
    info: pseudo_documents, the number of those that hold a text.
    """

    arrays = ("topic_counts", "proportions", "texts")
    topic_counts: np.ndarray
    proportions: np.ndarray
    texts: np.ndarray

    def __init__(
        self,
        *,
        num_pseudo_documents: Count,
        num_sweeps: Count,
        num_workers: Count,
        alpha: Positive,
        eta: Positive,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.num_sweeps, self.num_workers = num_sweeps, num_workers
        self.options: dict[str, Any] = {"p": num_pseudo_documents, "alpha": alpha, "eta": eta}

    def _fit(self, datamodule: TopicDataModule) -> None:
        from tomotopy import PTModel

        sampler = PTModel(k=self.num_topics, seed=self.seed, **self.options)
        for tokens in token_lists(datamodule.train_bow):
            sampler.add_doc(tokens)
        sampler.train(self.num_sweeps, workers=self.num_workers)
        self.topic_counts = topic_counts(sampler, datamodule.corpus.num_words)
        documents = [*sampler.docs]
        members = np.array([document.pseudo_doc_id for document in documents])
        _, first, texts = np.unique(members, return_index=True, return_counts=True)
        held = [documents[number].get_topic_dist(from_pseudo_doc=True) for number in first]
        self.proportions, self.texts = np.array(held, dtype=np.float64), texts.astype(np.float64)
        self.info = {"pseudo_documents": len(texts)}

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        posteriors = component_posteriors(bow, self.proportions @ self._beta(), self.texts)
        return np.concatenate([each @ self.proportions for each in posteriors]).astype(np.float32)

    def _beta(self) -> np.ndarray:
        return self.topic_counts / self.topic_counts.sum(axis=1, keepdims=True)

    def _word_nll(self, theta: np.ndarray, bow: sparse.csr_matrix) -> np.ndarray:
        return words_nll(theta, self._beta(), bow)
