"""A corpus with planted topics, and the configuration and data module for tests of models."""

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
    """Mean vector of the documents that a word is in, weighted by the word's count in each."""
    counts = corpus().bow.T
    return (counts @ vectors() / counts.sum(axis=1).A).astype(np.float32)


def datamodule(**options):
    return TopicDataModule(corpus(), vectors(), **{"word_vectors": word_vectors, **options})


def recovery(result):
    """Share of a planted topic's top ten words found in its best match, the minimum over topics.

    A planted word belongs to the label that uses it most.
    """
    counts = np.stack([corpus().bow[corpus().labels == label].sum(axis=0).A1 for label in range(5)])
    owner = dict(zip(corpus().vocab, counts.argmax(axis=0), strict=True))
    hits = np.zeros((result.num_topics, 5))
    for topic, words in enumerate(result.topic_words(10)):
        for word in words:
            hits[topic, owner[word]] += 0.1
    return hits[linear_sum_assignment(-hits)].min()
