"""Perplexity of documents under a model's own decoder."""

from __future__ import annotations

import numpy as np

from topiclab.metrics.undefined import UndefinedMetric


def perplexity(word_nll: np.ndarray, num_tokens: np.ndarray) -> float:
    """exp of nats per token.  word_nll: (D,) nats per document.  num_tokens: (D,) length of each bag."""
    if not num_tokens.sum():
        raise UndefinedMetric("the documents contain no word of the vocabulary")
    with np.errstate(over="ignore"):  # infinity is a valid value
        return float(np.exp(word_nll.sum() / num_tokens.sum()))
