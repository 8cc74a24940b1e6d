"""Topics by period: their mean over time, and the words of each period in a file of the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from topiclab.atomic import write_json
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.period_bins import PERIODS, PeriodBins, Unit
from topiclab.result import rank_words

NUM_WORDS = 20  # per topic and period


def training_bins(datamodule: TopicDataModule, unit: Unit) -> PeriodBins:
    """Periods of the training documents that hold a word; see `PeriodBins.of`."""
    corpus, rows = datamodule.corpus, datamodule.train_rows
    rows = rows[corpus.known_words[rows] > 0]
    return PeriodBins.of(None if corpus.timestamps is None else corpus.timestamps[rows], unit, corpus.name)


def period_masses(theta: np.ndarray, index: np.ndarray, num_periods: int) -> np.ndarray:
    """Sum of theta (D, K) over the documents of each period, (T, K) float64; index: (D,) periods."""
    return np.stack([theta[index == period].sum(axis=0, dtype=np.float64) for period in range(num_periods)])


def mean_topics(probs: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Word distributions (K, V) of topics over all time: each period counts by the topic's mass in it.

    probs: (T, K, V).  masses: (T, K).
    """
    weights = masses + 1e-12
    return np.einsum("tk,tkv->kv", weights / weights.sum(axis=0), probs, optimize=True)


def write_periods(
    folder: Path, bins: PeriodBins, probs: np.ndarray, masses: np.ndarray, vocab: Sequence[str]
) -> None:
    """Write periods.json: the periods, the share and the words of every topic in each; nothing for one alone.

    unit, periods: T names.  documents: T sums of masses.  shares: K lists of T.  words: K lists of T lists of
    NUM_WORDS words of the model itself, the likeliest first.
    """
    if bins.is_static:
        return
    documents = masses.sum(axis=1)
    ranked = [rank_words(of_period, NUM_WORDS) for of_period in probs]
    words = [
        [[vocab[word] for word in of_period[topic]] for of_period in ranked] for topic in range(len(masses.T))
    ]
    content = {
        "unit": bins.unit,
        "periods": bins.names,
        "documents": documents.tolist(),
        "shares": (masses / documents[:, None]).T.tolist(),
        "words": words,
    }
    write_json(folder / PERIODS, content)
