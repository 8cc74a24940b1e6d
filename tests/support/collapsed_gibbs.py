"""Collapsed Gibbs sampling of LDA in plain NumPy, and its posterior by enumeration."""

import itertools

import numpy as np
from scipy.special import gammaln


class CollapsedGibbs:
    """p(z = k | rest) ~ (n_dk + alpha) (n_kw + eta) / (n_k + V eta), Griffiths & Steyvers 2004."""

    def __init__(self, documents, num_words, num_topics, alpha, eta, seed):
        self.rng = np.random.default_rng(seed)
        self.alpha, self.eta = alpha, eta
        self.docs = np.repeat(np.arange(len(documents)), [len(words) for words in documents])
        self.words = np.concatenate(documents)
        self.topics = self.rng.integers(num_topics, size=len(self.words))
        self.doc_topic = np.zeros((len(documents), num_topics))
        self.topic_word = np.zeros((num_topics, num_words))
        np.add.at(self.doc_topic, (self.docs, self.topics), 1)
        np.add.at(self.topic_word, (self.topics, self.words), 1)
        self.totals = self.topic_word.sum(axis=1)

    def sweep(self):
        smoothing = self.eta * self.topic_word.shape[1]
        uniform = self.rng.random(len(self.words))
        for place, (doc, word) in enumerate(zip(self.docs, self.words, strict=True)):
            self._move(doc, word, self.topics[place], -1)
            weights = (self.doc_topic[doc] + self.alpha) * (self.topic_word[:, word] + self.eta)
            ladder = np.cumsum(weights / (self.totals + smoothing))
            self.topics[place] = np.searchsorted(ladder, uniform[place] * ladder[-1])
            self._move(doc, word, self.topics[place], 1)

    def _move(self, doc, word, topic, step):
        self.doc_topic[doc, topic] += step
        self.topic_word[topic, word] += step
        self.totals[topic] += step


def log_joint(doc_topic, topic_word, alpha, eta):
    """log p(words, topics) up to a constant, both multinomials integrated out."""
    of_docs = gammaln(doc_topic + alpha).sum() - gammaln((doc_topic + alpha).sum(axis=1)).sum()
    of_topics = gammaln(topic_word + eta).sum() - gammaln((topic_word + eta).sum(axis=1)).sum()
    return of_docs + of_topics


def together_by_enumeration(documents, num_words, num_topics, alpha, eta):
    """(N, N) posterior probability that two tokens share a topic, summed over all K^N assignments.

    Unlike a topic's own distribution, it does not depend on how topics are numbered.
    """
    docs = np.repeat(np.arange(len(documents)), [len(words) for words in documents])
    words = np.concatenate(documents)
    every = np.array(list(itertools.product(range(num_topics), repeat=len(words))))
    weights = np.empty(len(every))
    for number, topics in enumerate(every):
        doc_topic, topic_word = np.zeros((len(documents), num_topics)), np.zeros((num_topics, num_words))
        np.add.at(doc_topic, (docs, topics), 1)
        np.add.at(topic_word, (topics, words), 1)
        weights[number] = log_joint(doc_topic, topic_word, alpha, eta)
    weights = np.exp(weights - weights.max())
    weights /= weights.sum()
    return sum(weight * (topics[:, None] == topics) for weight, topics in zip(weights, every, strict=True))
