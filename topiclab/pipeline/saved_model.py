"""Saved model in a run folder: weights as safetensors, facts as JSON; enough for unseen texts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from topiclab.data.corpus import Corpus
from topiclab.embed.embedder import Embeddings, is_fitted
from topiclab.models.base.estimator import Estimator
from topiclab.models.codes.image_topics import ImageTopicModel
from topiclab.result import TopicResult

MODEL, EMBEDDER, FACTS, ADAPTER = "model.safetensors", "embedder.safetensors", "model.json", "adapter"


def save_model(folder: Path, model: Estimator, embeddings: Embeddings | None, corpus: Corpus) -> None:
    """Write the model's arrays, those of an embedder that was fitted or tuned, and the vocabulary."""
    save_arrays(folder / MODEL, model.state())
    embedder = None if embeddings is None else embeddings.embedder
    if embedder is not None and is_fitted(embedder):
        save_arrays(folder / EMBEDDER, embedder.state())
    if adapter := getattr(embedder, "adapter", None):
        shutil.copytree(adapter, folder / ADAPTER, dirs_exist_ok=True)
    facts = {
        "vocab": list(corpus.vocab),
        "label_names": list(corpus.label_names),
        "embedding_dim": 0 if embeddings is None else int(embeddings.vectors.shape[1]),
        "embedding_fingerprint": None if embedder is None else embedder.fingerprint(),
    }
    (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def load_facts(folder: Path) -> dict[str, Any]:
    """Facts that save_model wrote beside the weights; ValueError names a file that is missing or damaged."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if missing := {"vocab", "label_names", "embedding_dim"} - facts.keys():
            raise ValueError(f"without {', '.join(sorted(missing))}")
        return facts
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder / FACTS} cannot be read ({error}); remove {folder} and fit again"
        ) from error


def check_words(folder: Path, vocab: Sequence[str], topics: TopicResult) -> None:
    """Raise ValueError unless a saved model and its topics have the same words in one order."""
    if list(vocab) != list(topics.vocab):
        raise ValueError(
            f"{folder / FACTS} and topics.npz hold different words; remove {folder} and fit again"
        )


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; ValueError names a file that is missing or damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error}); remove {path.parent} and fit again") from error


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays by name to a safetensors file."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


AUTOENCODER = "autoencoder.safetensors"


def save_image_model(folder: Path, fitted: ImageTopicModel, corpus: Corpus) -> None:
    """Write the arrays of both models, and what `load_image_model` needs beside the configuration."""
    save_arrays(folder / MODEL, fitted.model.state())
    save_arrays(folder / AUTOENCODER, fitted.autoencoder.state())
    facts = {
        "vocab": list(corpus.vocab),
        "label_names": list(corpus.label_names),
        "embedding_dim": fitted.model.embedding_dim,
        "image_shape": list(fitted.image_shape),
        "grid_shape": list(fitted.model.grid_shape),
        "autoencoder": fitted.autoencoder.sizes,
    }
    (folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False, allow_nan=False), encoding="utf-8")
