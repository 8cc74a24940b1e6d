"""Document and word embeddings of a corpus, cached."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast

import numpy as np

from topiclab.cache import Cache, Key, key_hash, save_array
from topiclab.config.instantiate import build
from topiclab.data.corpus import Corpus, text_fingerprint
from topiclab.embed.entries import KIND, VECTORS, load_vectors
from topiclab.embed.long_texts import reading_facts, tell_long
from topiclab.settings import Adaptation, Trainer

if TYPE_CHECKING:
    from topiclab.embed.huggingface import HuggingFaceEmbedder


class Embedder(Protocol):
    """Texts to vectors. `fingerprint()` is plain JSON and names everything the vectors depend on."""

    @property
    def dim(self) -> int: ...

    def fingerprint(self) -> dict[str, Any]: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray: ...


class FittedEmbedder(Embedder, Protocol):
    """An embedder that learns from the training texts; its numeric state restores it elsewhere."""

    def fit(self, texts: Sequence[str]) -> Any: ...

    def state(self) -> dict[str, np.ndarray]: ...

    def load_state(self, state: Mapping[str, np.ndarray]) -> Any: ...


class CorpusEmbedder(Embedder, Protocol):
    """An embedder that holds the vectors of one corpus only."""

    def bind(self, texts: Sequence[str]) -> np.ndarray: ...


class ModelEmbedder(Embedder, Protocol):
    """A language model: texts are encoded shard by shard; truncation and LoRA adapters apply."""

    truncate_dim: int | None

    def encode_full(self, texts: Sequence[str]) -> np.ndarray: ...


# isinstance with these protocols would read `dim`, which loads the weights of a language model.


def is_fitted(embedder: Embedder) -> TypeGuard[FittedEmbedder]:
    return hasattr(type(embedder), "load_state")


def is_bound(embedder: Embedder) -> TypeGuard[CorpusEmbedder]:
    return hasattr(type(embedder), "bind")


def is_model(embedder: Embedder) -> TypeGuard[ModelEmbedder]:
    return hasattr(type(embedder), "encode_full")


@dataclass(frozen=True)
class Embeddings:
    """Vectors of one corpus: (D, E) float32, memory-mapped where possible.

    key: sha256 of texts, embedder and, if it learns, the training rows.
    manifest: what ran (model revision, dtype, device, ...).  seconds: of this call, near 0 if is_cached.
    embedder: ready for unseen texts; a language model loads its weights at the first one.
    """

    vectors: np.ndarray
    key: str
    manifest: dict[str, Any]
    embedder: Embedder
    is_cached: bool
    seconds: float

    def tell_long(self, name: str, long: str = "cut") -> None:
        """Log how many documents are longer than the embedder of this name reads; long: its option."""
        facts = self.manifest
        tell_long(facts.get("num_long"), facts.get("max_length"), len(self.vectors), name, long)


def corpus_as_read(corpus: Corpus, embed_text: str) -> Corpus:
    """The corpus whose texts the embedder reads: the raw texts, or with `bow` only their known words.

    Vectors of a corpus and of its words are computed from the corpus returned here.
    """
    return corpus if embed_text == "raw" else corpus.with_known_words()


def embed_corpus(
    embedder_cfg: Mapping[str, Any],
    corpus: Corpus,
    cache_root: Path | None,
    trainer: Trainer | None,
    adapt: Adaptation | None = None,
) -> Embeddings:
    """Vectors of every document, cached; without cache_root they are computed every time.

    trainer: sets the embedder's device and precision; None leaves them unchanged.
    adapt: how the model is first tuned on the training rows; None leaves it unchanged.
    """
    started = time.perf_counter()
    embedder = prepared_embedder(embedder_cfg, corpus, cache_root, trainer, adapt)
    key = {"texts": corpus.text_fingerprint, "embedder": embedder.fingerprint()}
    if is_fitted(embedder):
        key["fit_rows"] = key_hash({"rows": corpus.rows("train").tolist()})
        vectors, manifest, is_cached = _fit_and_encode(embedder, corpus, cache_root, key)
    elif is_bound(embedder):
        vectors, manifest, is_cached = embedder.bind(corpus.texts), {"inputs": key}, True
    else:
        vectors, manifest, is_cached = _encode(embedder, corpus.texts, cache_root, key)
    seconds = time.perf_counter() - started
    return Embeddings(vectors, key_hash(key), manifest, embedder, is_cached, seconds)


def embed_texts(
    embedder_cfg: Mapping[str, Any], texts: Sequence[str], cache_root: Path | None, trainer: Trainer | None
) -> Embeddings:
    """Vectors of these texts, as `embed_corpus`, for an embedder that learns nothing from them."""
    started = time.perf_counter()
    embedder = build(embedder_cfg, trainer)
    key = {"texts": text_fingerprint(texts), "embedder": embedder.fingerprint()}
    vectors, manifest, is_cached = _encode(embedder, texts, cache_root, key)
    return Embeddings(vectors, key_hash(key), manifest, embedder, is_cached, time.perf_counter() - started)


def embed_words(
    embedder_cfg: Mapping[str, Any],
    corpus: Corpus,
    cache_root: Path | None,
    trainer: Trainer | None,
    adapt: Adaptation | None = None,
    template: str = "{word}",
) -> np.ndarray:
    """(V, E) float32: every vocabulary word, put into the template and embedded like a document."""
    texts = [template.replace("{word}", word) for word in corpus.vocab]
    embedder = prepared_embedder(embedder_cfg, corpus, cache_root, trainer, adapt)
    if is_fitted(embedder):
        return embed_corpus(embedder_cfg, corpus, cache_root, trainer, adapt).embedder.encode(texts)
    key = {"texts": key_hash({"texts": texts}), "embedder": embedder.fingerprint()}
    return _encode(embedder, texts, cache_root, key)[0]


def prepared_embedder(
    embedder_cfg: Mapping[str, Any],
    corpus: Corpus,
    cache_root: Path | None,
    trainer: Trainer | None,
    adapt: Adaptation | None,
) -> Embedder:
    """The embedder of `embed_corpus`, tuned if `adapt` asks for it; LSA is not yet fitted."""
    embedder = build(embedder_cfg, trainer)
    if adapt is None:
        return embedder
    if not is_model(embedder):
        name = embedder_cfg.get("name", embedder_cfg["_target_"])
        raise ValueError(
            f"mode.adapt={adapt.method} tunes a language model, and embedder={name} is not one; "
            "use embedder=minilm or another model, or mode.adapt=null"
        )
    from topiclab.embed.adapt import adapted

    return adapted(cast("HuggingFaceEmbedder", embedder), corpus, adapt, cache_root)


def _fit_and_encode(
    embedder: FittedEmbedder, corpus: Corpus, cache_root: Path | None, key: Key
) -> tuple[np.ndarray, dict[str, Any], bool]:
    def compute() -> dict[str, np.ndarray]:
        embedder.fit([corpus.texts[row] for row in corpus.rows("train")])
        return {**embedder.state(), VECTORS: embedder.encode(corpus.texts)}

    arrays, manifest, is_cached = _cached(cache_root, key, compute, embedder)
    vectors = arrays.pop(VECTORS)
    embedder.load_state(arrays)
    return vectors, manifest, is_cached


def _encode(
    embedder: Embedder, texts: Sequence[str], cache_root: Path | None, key: Key
) -> tuple[np.ndarray, dict[str, Any], bool]:
    """(N, E), the manifest, and whether it was cached; for a language model all dimensions are stored."""
    if cache_root is None or not is_model(embedder):
        compute = lambda: {VECTORS: embedder.encode(texts)}  # noqa: E731
        arrays, manifest, is_cached = _cached(cache_root, key, compute, embedder)
        return arrays[VECTORS], manifest, is_cached
    from topiclab.embed.huggingface import truncate
    from topiclab.embed.shards import encode_in_shards

    full = {**key, "embedder": {**key["embedder"], "truncate_dim": None}}
    model = cast("HuggingFaceEmbedder", embedder)
    entry = encode_in_shards(model, texts, Cache(Path(cache_root)), full)
    return truncate(load_vectors(entry), embedder.truncate_dim), entry.manifest, entry.is_cached


def _cached(
    cache_root: Path | None, key: Key, compute: Callable[[], dict[str, np.ndarray]], embedder: Embedder
) -> tuple[dict[str, np.ndarray], dict[str, Any], bool]:
    if cache_root is None:
        return compute(), {"inputs": dict(key), **reading_facts(embedder)}, False

    def fill(folder: Path) -> dict[str, Any]:
        for name, array in compute().items():
            save_array(folder / f"{name}.npy", array)
        return reading_facts(embedder)

    entry = Cache(Path(cache_root)).entry(KIND, key, fill)
    return entry.arrays(), entry.manifest, entry.is_cached
