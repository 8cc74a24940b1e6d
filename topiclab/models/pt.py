"""PT: the pseudo-document topic model of short texts (Zuo et al. 2016), tomotopy."""

from __future__ import annotations

from typing import Any

import numpy as np

from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Count, Positive
from topiclab.models.gibbs import GibbsModel
from topiclab.models.sampling.tokens import token_lists, topic_counts


class PT(GibbsModel):
    """Short texts are parts of longer pseudo documents, which have the proportions of LDA.

        l_d ~ Categorical(phi),   z ~ Categorical(theta_l),   w ~ Categorical(beta_z)

    Collapsed Gibbs sampling infers which text belongs to which pseudo document, so that topics are learned
    from documents that are long enough. The theta of the result is the fold-in of a text alone: the
    proportions of its likely pseudo documents, each a mixture of many texts, place titles worse (see conf).

    num_pseudo_documents: P; published experiments: 100 to 1000. A sweep costs texts x P.
    alpha: initial value of the learned prior of the proportions.
    info: pseudo_documents, the number of those that hold a text.
    """

    def __init__(self, *, num_pseudo_documents: Count, alpha: Positive, **options: Any) -> None:
        super().__init__(**options)
        self.sampler_options: dict[str, Any] = {"p": num_pseudo_documents, "alpha": alpha}

    def _fit(self, datamodule: TopicDataModule) -> None:
        from tomotopy import PTModel

        sampler = PTModel(k=self.num_topics, eta=self.eta, seed=self.seed, **self.sampler_options)
        for tokens in token_lists(datamodule.train_bow):
            sampler.add_doc(tokens)
        self._sweep(sampler, self.num_sweeps)
        self.topic_counts = topic_counts(sampler, datamodule.corpus.num_words)
        self.alpha = np.array(sampler.alpha, dtype=np.float64)
        self.info = {"pseudo_documents": len({document.pseudo_doc_id for document in sampler.docs})}
