"""Word intrusion without annotators: is a word of another topic the odd one among a topic's first words?"""

from __future__ import annotations

import numpy as np

from topiclab.metrics.undefined import UndefinedMetric

NUM_WORDS = 5  # of a topic, beside one intruder (Chang et al. 2009)
NUM_INTRUDERS = 10  # drawn for each topic


def model_precision(beta: np.ndarray, ranked: np.ndarray, npmi: np.ndarray, seed: int = 0) -> np.ndarray:
    """Share (K,) of intruders found among a topic's first five words, in [0, 1]; 1/6 by chance.

    beta: (K, V).  ranked: (K, T) ids of first words, T at least 5.  npmi: (V', V') of pairs of the ids in
    `ranked`, by their place among the sorted distinct ids.
    An intruder is drawn from the first words of other topics that are not among this topic's own and have, in
    this topic, at most the median probability of all words. The guess is the word of least mean NPMI with
    the other five: association decides, as for the annotators of Lau, Newman & Baldwin 2014, whose detector
    is instead a ranking SVM trained on three such features.
    Raises UndefinedMetric if a topic has no such words.
    """
    if len(beta) < 2:
        raise UndefinedMetric("word intrusion draws words of other topics; there is only one topic")
    if ranked.shape[1] < NUM_WORDS:
        raise UndefinedMetric(f"word intrusion reads {NUM_WORDS} words per topic; set metrics.num_words")
    ids, places = np.unique(ranked, return_inverse=True)
    places = places.reshape(ranked.shape)
    generator = np.random.default_rng(seed)
    is_rare = beta[:, ids] <= np.median(beta, axis=1, keepdims=True)
    found = np.empty(len(beta))
    for topic, own in enumerate(places):
        fitting = np.flatnonzero(is_rare[topic] & ~np.isin(np.arange(len(ids)), own))
        if not len(fitting):
            raise UndefinedMetric(f"no first word of another topic is improbable in topic {topic}")
        drawn = generator.permutation(fitting)[:NUM_INTRUDERS]
        shown = np.column_stack([np.tile(own[:NUM_WORDS], (len(drawn), 1)), drawn])
        pairs = npmi[shown[:, :, None], shown[:, None, :]]
        others = pairs.sum(axis=2) - np.diagonal(pairs, axis1=1, axis2=2)
        found[topic] = (others.argmin(axis=1) == NUM_WORDS).mean()
    return found
