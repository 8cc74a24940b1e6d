"""Planted topics: a corpus whose true topics are known, for tests and first runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from topiclab.data.documents import Document

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def planted_documents(
    num_topics: int, words_per_topic: int, num_docs: int, doc_length: int, concentration: float, seed: int
) -> Iterator[Document]:
    """Draw documents by LDA's generative process, from topics that share no word.

    theta ~ Dirichlet(concentration / num_topics); each of Poisson(doc_length) + 1 words draws a topic from
    theta and a word of it with Zipf-like weight 1 / (rank + 5). The label is the topic of most words.
    Texts are the words joined by spaces, so every embedder can read them.
    """
    generator = np.random.default_rng(seed)
    vocabulary = np.array(planted_topics(num_topics, words_per_topic))
    weight = 1 / (np.arange(words_per_topic) + 5)
    for _ in range(num_docs):
        theta = generator.dirichlet(np.full(num_topics, concentration / num_topics))
        topics = generator.choice(num_topics, size=generator.poisson(doc_length) + 1, p=theta)
        ranks = generator.choice(words_per_topic, size=len(topics), p=weight / weight.sum())
        yield Document(" ".join(vocabulary[topics, ranks]), label=f"topic{np.bincount(topics).argmax():02d}")


def topic_word(topic: int, rank: int) -> str:
    """A pronounceable made-up word; the first two syllables spell the topic, the last two the rank."""
    return _syllables(topic) + _syllables(rank)


def _syllables(number: int) -> str:
    """Two syllables that no other number below 4,900 spells."""
    base = len(CONSONANTS) * len(VOWELS)
    return "".join(
        CONSONANTS[n // len(VOWELS)] + VOWELS[n % len(VOWELS)] for n in divmod(number % base**2, base)
    )


def planted_topics(num_topics: int = 5, words_per_topic: int = 20) -> list[list[str]]:
    """The true topics of planted documents: num_topics lists of words, likeliest first."""
    return [[topic_word(topic, rank) for rank in range(words_per_topic)] for topic in range(num_topics)]
