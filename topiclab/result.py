"""TopicResult: what every estimator returns and everything downstream reads."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from topiclab.atomic import atomic_file, finite

EMPTY_MASS = 0.1  # of a document: a topic that holds less in all, and is nobody's main topic, is empty


@dataclass(frozen=True, eq=False)
class TopicResult:
    """Topics of one fitted model over one corpus.

    theta: (D, K) float32, topic proportions of every document of the corpus, rows sum to 1. A document of
        which the model reads nothing (no known word, and no vector that it reads) has the same proportion
        everywhere, under every model, and so no main topic.
    beta: (K, V) float32, word distributions of the topics, rows sum to 1.
    vocab: V words.
    top_words: (K, T) int32, word ids in descending order of the model's read-out; by default of beta.
    word_nll: (D,) float64, nats of each document's bag under the model's own decoder and its deterministic
        theta; None where the model defines no likelihood of words.
    info: plain facts about the fit (epochs, ...).
    ids: identifiers of the D documents; () if they have none.
    Raises ValueError when shapes disagree, a value is not finite or a row does not sum to 1.
    """

    theta: np.ndarray
    beta: np.ndarray
    vocab: tuple[str, ...]
    top_words: np.ndarray | None = None
    word_nll: np.ndarray | None = None
    info: dict[str, Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        num_topics = self.theta.shape[1] if self.theta.ndim == 2 else -1
        if self.theta.ndim != 2 or self.beta.shape != (num_topics, len(self.vocab)):
            raise ValueError(
                f"theta {self.theta.shape} and beta {self.beta.shape} do not fit {len(self.vocab)} words; "
                "expected (D, K) and (K, V)"
            )
        for name, rows in (("theta", self.theta), ("beta", self.beta)):
            if not np.isfinite(rows).all():
                raise ValueError(f"{name} holds {int((~np.isfinite(rows)).sum())} values that are not finite")
            sums = rows.sum(axis=1, dtype=np.float64)
            if rows.size and (rows.min() < 0 or np.abs(sums - 1).max() > 1e-3):
                raise ValueError(
                    f"{name} has rows that are not distributions: sums {sums.min():.4g} to {sums.max():.4g}"
                )
        if self.top_words is None:
            object.__setattr__(self, "top_words", rank_words(self.beta))
        if self.top_words.ndim != 2 or len(self.top_words) != num_topics:  # type: ignore[union-attr]
            raise ValueError(f"top_words {self.top_words.shape} does not rank words for {num_topics} topics")  # type: ignore[union-attr]
        if self.word_nll is not None and self.word_nll.shape != (len(self.theta),):
            raise ValueError(f"word_nll {self.word_nll.shape} does not fit {len(self.theta)} documents")

    @property
    def num_topics(self) -> int:
        return self.beta.shape[0]

    @cached_property
    def main_topics(self) -> np.ndarray:
        """Strongest topic (D,) of every document, see `main_topics`."""
        return main_topics(self.theta)

    @cached_property
    def empty_topics(self) -> list[int]:
        """Topics without documents, see `empty_topics`."""
        return empty_topics(self.theta)

    def topic_words(self, num: int = 10) -> list[list[str]]:
        """Return the num highest ranked words of every topic."""
        return [[self.vocab[word] for word in row[:num]] for row in self.top_words]  # type: ignore[index]

    def save(self, path: Path) -> None:
        """Write an .npz without pickled objects, by atomic rename."""
        arrays = {
            "theta": self.theta,
            "beta": self.beta,
            "vocab": np.array(self.vocab, dtype=np.str_),
            "top_words": self.top_words,
            "info": np.array(json.dumps(finite(self.info), allow_nan=False)),
            "ids": np.array(self.ids, dtype=np.str_),
        }
        if self.word_nll is not None:
            arrays["word_nll"] = self.word_nll
        with atomic_file(path) as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> TopicResult:
        """Read what `save` wrote; raise ValueError with its path if it cannot be read."""
        try:
            with path.open("rb") as stream, NpzFile(stream) as arrays:
                return cls(
                    theta=arrays["theta"],
                    beta=arrays["beta"],
                    vocab=tuple(arrays["vocab"].tolist()),
                    top_words=arrays["top_words"],
                    word_nll=arrays.get("word_nll"),
                    info=json.loads(str(arrays["info"])),
                    ids=tuple(arrays["ids"].tolist()),
                )
        except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(
                f"{path} is not a readable topic result ({error}); remove {path.parent} and fit again"
            ) from error


def main_topics(theta: np.ndarray) -> np.ndarray:
    """Strongest topic (D,) int64 of theta (D, K); -1 for equal proportions of two or more topics."""
    found = theta.argmax(axis=1)
    if theta.shape[1] > 1:
        found[theta.max(axis=1) == theta.min(axis=1)] = -1
    return found


def empty_topics(theta: np.ndarray) -> list[int]:
    """Topics that are not the main topic of any document and hold less than EMPTY_MASS of one in all.

    Both are asked, because the topics of a mixture model may each be a part of many documents and the main
    part of none. Documents without a main topic do not count; if none has one, no topic is empty.
    """
    main = main_topics(theta)
    told = theta[main >= 0] if (main < 0).any() else theta
    if not len(told):
        return []
    is_empty = np.bincount(main[main >= 0], minlength=theta.shape[1]) == 0
    return np.flatnonzero(is_empty & (told.sum(axis=0, dtype=np.float64) < EMPTY_MASS)).tolist()


def to_distributions(rows: np.ndarray, fallback: np.ndarray | float) -> np.ndarray:
    """Scale rows to sum 1; a row without mass becomes fallback, which sums to 1 over a row."""
    mass = rows.sum(axis=1, keepdims=True)
    return np.where(mass > 0, rows / np.where(mass > 0, mass, 1), fallback)


def rank_words(scores: np.ndarray, num: int = 100) -> np.ndarray:
    """Word ids (K, min(num, V)) by descending score (K, V); ties keep vocabulary order."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :num].astype(np.int32)
