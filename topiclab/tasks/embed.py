"""task=embed: fill the embedding cache ahead of a grid, in one job or in many that each do a part."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from topiclab.cache import Cache
from topiclab.config.configuration import Configuration
from topiclab.config.instantiate import build
from topiclab.data.corpus import Corpus
from topiclab.data.sources.corpora import TextStream, load_corpus, load_texts
from topiclab.embed.embedder import (
    corpus_as_read,
    embed_corpus,
    embed_texts,
    is_model,
    prepared_embedder,
)
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.embed.shards import encode_part
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)


def embed(cfg: Configuration, folder: Path) -> Outcome:
    """Embed the corpus or a part of it, or find it in the cache; return what result.json records."""
    if cfg.own["embed"]["part"] is not None:
        return _embed_part(cfg)
    cache, trainer = cfg.paths.cache, cfg.trainer
    if _needs_only_texts(cfg):
        _, texts = load_texts(cfg.data, cfg.paths.data, cache)
        embeddings = embed_texts(cfg.embedder, texts, cache, trainer)
    else:
        embeddings = embed_corpus(cfg.embedder, _corpus(cfg), cache, trainer, adapt=cfg.adaptation)
    num_docs, dim = embeddings.vectors.shape
    log.info(
        "%s vectors %s, %s",
        cfg.embedder["name"],
        (num_docs, dim),
        "cached" if embeddings.is_cached else "new",
    )
    embeddings.tell_long(cfg.embedder["name"], cfg.embedder.get("long", "cut"))
    num_encoded = 0 if embeddings.is_cached else embeddings.manifest.get("num_encoded", num_docs)
    facts = {**embeddings.manifest, "is_cached": embeddings.is_cached}
    return _outcome(num_docs, num_encoded, embeddings.seconds, facts, embedding_dim=dim)


def _embed_part(cfg: Configuration) -> Outcome:
    """Run this one of embed.num_parts jobs; its shards wait in the cache to be joined."""
    cache = cfg.paths.cache
    texts: Iterable[str]
    if _needs_only_texts(cfg):
        texts = TextStream(cfg.data, cfg.paths.data, cache)
        embedder = build(cfg.embedder, cfg.trainer)
    else:
        corpus = _corpus(cfg)
        embedder = prepared_embedder(cfg.embedder, corpus, cache, cfg.trainer, cfg.adaptation)
        texts = corpus.texts
    wanted = cfg.own["embed"]
    model = cast("HuggingFaceEmbedder", embedder)
    part = encode_part(model, texts, Cache(cache), wanted["part"], wanted["num_parts"])
    return _outcome(part.num_docs, part.num_encoded, part.seconds, part.manifest)


def _outcome(
    num_docs: int, num_encoded: int, seconds: float, embedding: dict[str, Any], **others: int
) -> Outcome:
    """Outcome of a job, with other metrics; no speed if all of its vectors were cached."""
    speed = num_encoded / max(seconds, 1e-9) if num_encoded else None
    return Outcome(
        metrics={
            "documents_per_second": speed,
            "num_docs": num_docs,
            "num_encoded": num_encoded,
            **others,
        },
        reasons={} if num_encoded else {"documents_per_second": "every vector was in the cache"},
        seconds={"embed": seconds},
        manifest={"embedding": embedding},
    )


def _needs_only_texts(cfg: Configuration) -> bool:
    """True if neither vocabulary nor split is needed; these take longer than reading."""
    is_plain = cfg.embed_text == "raw" and cfg.adaptation is None
    return is_plain and is_model(build(cfg.embedder, cfg.trainer))


def _corpus(cfg: Configuration) -> Corpus:
    corpus = load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache)
    return corpus_as_read(corpus, cfg.embed_text)
