"""A corpus with planted topics, and the configuration and data module that models are tested with."""

from functools import cache

import numpy as np
from every_model import quick_settings
from made_settings import configured
from scipy.optimize import linear_sum_assignment

from topiclab.data.datamodule import TopicDataModule
from topiclab.data.sources.corpora import load_corpus
from topiclab.embed.embedder import embed_corpus

SMALL = ["model.encoder.hidden_dims=[64,64]"]


def configuration(*overrides):
    """A composed configuration with quick settings."""
    chosen = [override.removeprefix("model=") for override in overrides if override.startswith("model=")]
    small = quick_settings(chosen[-1] if chosen else "theta", "planted", SMALL)
    return configured("data=synthetic", "num_topics=5", *small, *overrides)


@cache
def corpus():
    return load_corpus(configuration().data)


@cache
def vectors():
    cfg = configuration("embedder.dim=16")
    return embed_corpus(cfg.embedder, corpus(), None, cfg.trainer).vectors


@cache
def word_vectors():
    """The mean vector of the documents that a word is in, each document as often as it says the word."""
    counts = corpus().bow.T
    return (counts @ vectors() / counts.sum(axis=1).A).astype(np.float32)


def datamodule(**options):
    return TopicDataModule(corpus(), vectors(), **{"word_vectors": word_vectors, **options})


def recovery(result):
    """Share of the top ten words of each planted topic found in its best match, the least of all topics.

    Planted words are known by the label that uses them most.
    """
    counts = np.stack([corpus().bow[corpus().labels == label].sum(axis=0).A1 for label in range(5)])
    owner = dict(zip(corpus().vocab, counts.argmax(axis=0), strict=True))
    hits = np.zeros((result.num_topics, 5))
    for topic, words in enumerate(result.topic_words(10)):
        for word in words:
            hits[topic, owner[word]] += 0.1
    return hits[linear_sum_assignment(-hits)].min()
