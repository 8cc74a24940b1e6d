"""A corpus, a result and a rater made for tests of the metrics."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from topiclab.data.corpus import Corpus
from topiclab.metrics.rating import RatingError
from topiclab.result import TopicResult

NUM_WORDS, NUM_TOPICS = 60, 4
VOCAB = tuple(f"word{number}" for number in range(NUM_WORDS))


def make_corpus(vocab=VOCAB, has_labels=True, num_docs=80) -> Corpus:
    """Make documents of twelve random words in order, with counts; a quarter are for test."""
    tokens = np.random.default_rng(1).integers(0, len(vocab), (num_docs, 12)).astype(np.int32)
    bow = np.array([np.bincount(words, minlength=len(vocab)) for words in tokens], dtype=np.int32)
    label_ids = np.arange(num_docs) % 4 - 1  # a quarter has no label
    return Corpus(
        name="made",
        ids=tuple(map(str, range(num_docs))),
        texts=tuple(" ".join(vocab[word] for word in words) for words in tokens),
        vocab=tuple(vocab),
        bow=sparse.csr_matrix(bow),
        token_ids=tokens.ravel(),
        token_offsets=np.arange(num_docs + 1) * 12,
        split=np.where(np.arange(num_docs) < 60, 0, 2).astype(np.int8),
        labels=label_ids if has_labels else None,
    )


class FixedRater:
    """Rates by the number of words; gives up at the word `end`."""

    num_words = 15

    def __init__(self, **facts):
        self.facts, self.asked = facts, []

    def fingerprint(self):
        return {"rater": "fixed", **self.facts}

    def rate(self, topics):
        for place, words in enumerate(topics):
            self.asked.append(list(words))
            if "end" in words:
                raise RatingError("the line is dead")
            yield place, "no digit" if "babble" in words else 1 + len(words) / 10


def make_result(num_topics=NUM_TOPICS, num_docs=80, **changes) -> TopicResult:
    rng = np.random.default_rng(2)
    theta = rng.dirichlet(np.full(num_topics, 0.3), num_docs).astype(np.float32)
    beta = rng.dirichlet(np.full(NUM_WORDS, 0.1), num_topics).astype(np.float32)
    return TopicResult(theta, beta, VOCAB, **changes)
