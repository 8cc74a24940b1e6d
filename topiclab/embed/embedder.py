"""Document and word embeddings of a corpus, through the cache."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from hydra.utils import get_class

from topiclab.data.cache import Cache, key_hash, save_array
from topiclab.data.corpus import Corpus

VECTORS = "vectors"


@runtime_checkable
class Embedder(Protocol):
    """Texts to vectors. `fingerprint()` is plain JSON and names everything the vectors depend on."""

    @property
    def dim(self) -> int: ...

    def fingerprint(self) -> dict[str, Any]: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray: ...


@runtime_checkable
class FittedEmbedder(Embedder, Protocol):
    """An embedder that learns from the training texts; its numeric state makes it whole elsewhere."""

    def fit(self, texts: Sequence[str]) -> Any: ...

    def state(self) -> dict[str, np.ndarray]: ...

    def load_state(self, state: Mapping[str, np.ndarray]) -> Any: ...


@dataclass(frozen=True)
class Embeddings:
    """Vectors of one corpus: (D, E) float32, memory-mapped where possible.

    key: sha256 of texts, embedder and, where it learns, the training rows.
    manifest: what ran (model revision, dtype, device, ...); seconds: of this call, near 0 when is_cached.
    embedder: ready for unseen texts; a language model loads its weights at the first of them.
    """

    vectors: np.ndarray
    key: str
    manifest: dict[str, Any]
    embedder: Embedder
    is_cached: bool
    seconds: float


def make_embedder(embedder: Mapping[str, Any], trainer: Mapping[str, Any]) -> Embedder:
    """The object of a `conf/embedder` group; `trainer` gives device and precision where they matter."""
    options = {name: value for name, value in embedder.items() if name not in ("_target_", "name")}
    target = get_class(embedder["_target_"])
    if "device" in inspect.signature(target).parameters:
        options |= {"device": trainer.get("device", "auto"), "precision": trainer.get("precision", "auto")}
    return target(**options)


def embed_corpus(
    embedder_cfg: Mapping[str, Any],
    corpus: Corpus,
    cache_root: Path | None,
    trainer: Mapping[str, Any],
    adapt: Mapping[str, Any] | None = None,
) -> Embeddings:
    """Vectors of every document, from the cache where it has them; computed every time without cache_root."""
    started = time.perf_counter()
    embedder = make_embedder(embedder_cfg, trainer)
    key: dict[str, Any] = {"texts": corpus.text_fingerprint, "embedder": embedder.fingerprint()}
    train_rows = corpus.rows("train")
    if isinstance(embedder, FittedEmbedder):
        key["fit_rows"] = key_hash({"rows": train_rows.tolist()})

    def compute() -> dict[str, np.ndarray]:
        if not isinstance(embedder, FittedEmbedder):
            return {VECTORS: embedder.encode(corpus.texts)}
        embedder.fit([corpus.texts[row] for row in train_rows])
        return {**embedder.state(), VECTORS: embedder.encode(corpus.texts)}

    def fill(folder: Path) -> None:
        for name, array in compute().items():
            save_array(folder / f"{name}.npy", array)

    if cache_root is None:
        arrays, manifest, is_cached = compute(), {"inputs": key}, False
    else:
        entry = Cache(Path(cache_root)).entry("embeddings", key, fill)
        arrays, manifest, is_cached = entry.arrays(), entry.manifest, entry.is_cached
    vectors = arrays.pop(VECTORS)
    if isinstance(embedder, FittedEmbedder):
        embedder.load_state(arrays)
    return Embeddings(vectors, key_hash(key), manifest, embedder, is_cached, time.perf_counter() - started)


def embed_words(
    embedder_cfg: Mapping[str, Any],
    corpus: Corpus,
    cache_root: Path | None,
    trainer: Mapping[str, Any],
    adapt: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """(V, E) float32: every vocabulary word embedded as a document of one word, in the documents' space."""
    embedder = embed_corpus(embedder_cfg, corpus, cache_root, trainer, adapt).embedder
    return embedder.encode(corpus.vocab)
