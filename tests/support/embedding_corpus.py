"""Texts for tests of embedders, and a corpus of them without counts."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from topiclab.data.corpus import Corpus

CORPUS = ["the quick brown fox jumps over the lazy dog", "topic models read many documents", "a b c d e f g"]


def embedding_corpus(texts, vocab=("fox",), labels=None, num_train: int | None = None):
    """Make a Corpus of these texts for tests of embedders, which read neither counts nor tokens."""
    num_docs = len(texts)
    return Corpus(
        name="test",
        ids=tuple(map(str, range(num_docs))),
        texts=tuple(texts),
        vocab=tuple(vocab),
        bow=sparse.csr_matrix((num_docs, len(vocab)), dtype=np.int32),
        token_ids=np.zeros(0, np.int32),
        token_offsets=np.zeros(num_docs + 1, np.int64),
        split=np.where(np.arange(num_docs) < (num_docs if num_train is None else num_train), 0, 2).astype(
            np.int8
        ),
        labels=None if labels is None else np.asarray(labels),
        label_names=() if labels is None else tuple(map(str, sorted(set(labels)))),
    )


def commas(text: str) -> list[str]:
    """Split a text at its commas: a tokenizer that a configuration names by its path."""
    return text.split(",")
