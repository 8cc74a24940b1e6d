"""task=embed: fill the embedding cache ahead of a grid."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topiclab.data.sources import load_corpus
from topiclab.embed.embedder import corpus_as_read, embed_corpus

log = logging.getLogger(__name__)


def embed(cfg: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Embed the corpus, or find its embeddings in the cache; what result.json says of it."""
    corpus = load_corpus(cfg["data"], cfg["paths"]["data"], cfg["paths"]["cache"])
    read = corpus_as_read(corpus, cfg["embed_text"])
    embeddings = embed_corpus(
        cfg["embedder"], read, Path(cfg["paths"]["cache"]), cfg["trainer"], adapt=cfg["mode"]
    )
    documents_per_second = corpus.num_docs / max(embeddings.seconds, 1e-9)
    log.info(
        "%s vectors %s, %s",
        cfg["embedder"]["name"],
        embeddings.vectors.shape,
        "cached" if embeddings.is_cached else "new",
    )
    return {
        "metrics": {
            "documents_per_second": documents_per_second,
            "embedding_dim": embeddings.vectors.shape[1],
        },
        "reasons": {},
        "seconds": {"embed": embeddings.seconds},
        "manifest": {"embedding": {**embeddings.manifest, "is_cached": embeddings.is_cached}},
    }
