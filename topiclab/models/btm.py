"""BTM: the biterm topic model of short texts (Yan et al. 2013)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive
from topiclab.models.base.classical_model import ClassicalModel


class BTM(ClassicalModel):
    """The corpus is one set of biterms, pairs of words close together; a biterm's words share one topic.

        z_b ~ Categorical(p(z)),   w_b1, w_b2 ~ Categorical(beta_z)

    so that short texts pool what co-occurs in them. Collapsed Gibbs sampling; a document has the mean of
    p(z | b) over its biterms. The story generates biterms, not documents, hence no likelihood of words.

    window: known words at most window - 1 places apart make a biterm. Proportions are inferred from the bag,
    so that a training document and the same unseen text get the same: there all pairs of words count, which
    differs from the published rule for documents of more words than the window.
    alpha: prior of the biterms of a topic; None is 50/K.  eta: prior of the words.
    info: biterms, their number.
    Raises ValueError if no document has two known words, and for a vocabulary of n-grams, which have no place
    in the order of the words.
    tests/models/test_btm.py checks the chain against the posterior by enumeration.
    """

    arrays = ("word_counts", "topic_counts")
    word_counts: np.ndarray
    topic_counts: np.ndarray

    def __init__(
        self,
        *,
        window: Count,
        num_sweeps: Count,
        alpha: Positive | None,
        eta: Positive,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.window, self.eta = window, eta
        self.alpha = 50 / self.num_topics if alpha is None else alpha
        self.num_sweeps = num_sweeps
        if window < 2:
            raise ValueError(f"model.window={window} holds no pair of words; give 2 or more")

    def _fit(self, datamodule: TopicDataModule) -> None:
        from topiclab.models.sampling.biterms import biterms_of, sample_biterms  # numba imports slowly

        corpus = datamodule.corpus
        _refuse_ngrams(corpus)
        is_read = np.zeros(corpus.num_docs, dtype=bool)
        is_read[datamodule.train_rows] = True
        is_kept = (corpus.token_ids >= 0) & np.repeat(is_read, np.diff(corpus.token_offsets))
        offsets = np.concatenate([[0], np.cumsum(is_kept)])[corpus.token_offsets]
        biterms = biterms_of(corpus.token_ids[is_kept], offsets, self.window)
        if not len(biterms):
            raise ValueError(
                "model=btm finds no pair of words: no training document has two words of the vocabulary; "
                "give longer texts, or lower data.vocabulary.min_df"
            )
        self.word_counts, self.topic_counts, _ = sample_biterms(
            biterms,
            corpus.num_words,
            self.num_topics,
            alpha=self.alpha,
            eta=self.eta,
            num_sweeps=self.num_sweeps,
            seed=self.seed,
        )
        self.info = {"biterms": len(biterms)}

    def transform(self, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
        from topiclab.models.sampling.biterms import biterm_proportions

        shares = self.topic_counts + self.alpha
        return biterm_proportions(bow, self._beta().T, shares / shares.sum())

    def _beta(self) -> np.ndarray:
        counts = self.word_counts.T + self.eta
        return counts / counts.sum(axis=1, keepdims=True)


def _refuse_ngrams(corpus: Corpus) -> None:
    in_order = np.bincount(corpus.token_ids[corpus.token_ids >= 0], minlength=corpus.num_words)
    counted = np.asarray(corpus.bow.sum(axis=0)).ravel()
    if len(missing := np.flatnonzero((counted > 0) & (in_order == 0))):
        raise ValueError(
            f"model=btm reads words in their order, where {corpus.vocab[missing[0]]!r} does not stand; use "
            "data.vocabulary.ngrams=[1,1]"
        )
