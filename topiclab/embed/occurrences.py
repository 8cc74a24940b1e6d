"""Vectors of single word occurrences: a language model's hidden states, cached."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from topiclab.cache import Cache, key_hash, load_array, save_array
from topiclab.data.corpus import Corpus
from topiclab.data.words.occurrences import Occurrences
from topiclab.data.words.places import WordPlaces, find_words
from topiclab.data.words.tokenizer import VERSION
from topiclab.embed.devices import Progress
from topiclab.embed.embedder import Embedder, is_model, prepared_embedder
from topiclab.embed.entries import VECTORS
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.embed.shard_files import join, shard_path, write_shards
from topiclab.embed.subtokens import Subtokens, encode_places
from topiclab.settings import Adaptation, Trainer, Vocabulary

log = logging.getLogger(__name__)

SHARD_WORDS = 32_768  # occurrences in a shard; more if a single document holds more
DOCS, WORDS = "docs", "words"
SPELLING = ("tokenizer", "token_pattern", "lowercase", "stop_words", "ngrams")


def occurrence_vectors(
    embedder_cfg: Mapping[str, Any],
    corpus: Corpus,
    cache_root: Path | None,
    trainer: Trainer,
    adapt: Adaptation | None = None,
    *,
    vocabulary: Vocabulary,
    subtokens: Subtokens | None = None,
) -> Occurrences:
    """Occurrences of a corpus's vocabulary words in its texts, cached (kind `occurrences`).

    vocabulary: the corpus's `data.vocabulary` group.  adapt: as in `embed_corpus`.
    subtokens: see `encode_places`.  Prompt, adapter and length limit are those of the document vectors;
    modules after the transformer, `normalize` and `truncate_dim` do not apply.
    Raises ValueError for an embedder without hidden states.
    """
    name = embedder_cfg.get("name", embedder_cfg["_target_"])
    embedder = token_embedder(prepared_embedder(embedder_cfg, corpus, cache_root, trainer, adapt), name)
    key = {
        "texts": corpus.text_fingerprint,
        "vocab": key_hash({"vocab": corpus.vocab}),
        "spelling": {**{option: getattr(vocabulary, option) for option in SPELLING}, "version": VERSION},
        "embedder": {**embedder.fingerprint(), "truncate_dim": None, "normalize": None},
        "subtokens": subtokens,
    }
    if cache_root is None:
        found = text_occurrences(embedder, corpus.texts, corpus.vocab, vocabulary, subtokens)
        arrays = {VECTORS: found.vectors, WORDS: found.words, DOCS: found.docs}
        manifest, is_cached = {"inputs": key, **found.manifest}, False
    else:
        fill = _filler(embedder, corpus, vocabulary, subtokens)
        entry = Cache(Path(cache_root)).entry("occurrences", key, fill, is_resumable=True)
        arrays, manifest, is_cached = entry.arrays(), entry.manifest, entry.is_cached
    facts = {"key": key_hash(key), "manifest": manifest, "is_cached": is_cached}
    sizes = {"num_docs": corpus.num_docs, "num_words": corpus.num_words}
    return Occurrences(arrays[VECTORS], np.asarray(arrays[WORDS]), np.asarray(arrays[DOCS]), **sizes, **facts)


def text_occurrences(
    embedder: Embedder,
    texts: Sequence[str],
    vocab: Sequence[str],
    vocabulary: Vocabulary,
    subtokens: Subtokens | None = None,
) -> Occurrences:
    """Occurrences of vocabulary words in any texts, not cached; arguments as in `occurrence_vectors`."""
    model = token_embedder(embedder, type(embedder).__name__)
    places = find_words(texts, vocab, vocabulary)
    vectors = encode_places(model, texts, places, subtokens)
    is_read = ~np.isnan(vectors[:, 0])
    facts = {**model.facts(), **_reach(is_read, model.token_limit)}
    words, docs = places.words[is_read], places.docs[is_read].astype(np.int32)
    return Occurrences(vectors[is_read], words, docs, len(texts), len(vocab), manifest=facts)


def token_embedder(embedder: Embedder, name: str) -> HuggingFaceEmbedder:
    """The embedder, typed as one with hidden states; ValueError if it has none."""
    if not is_model(embedder):
        raise ValueError(
            f"vectors of occurrences are hidden states of a language model, and embedder={name} has none; "
            "use embedder=minilm or another model, or model.words=type"
        )
    return cast("HuggingFaceEmbedder", embedder)


@dataclass(frozen=True)
class _Shard:
    texts: Sequence[str]
    places: WordPlaces
    subtokens: Subtokens | None

    def __len__(self) -> int:
        return len(self.texts)


def _encode(embedder: HuggingFaceEmbedder, shard: _Shard, progress: Progress) -> np.ndarray:
    return encode_places(embedder, shard.texts, shard.places, shard.subtokens, progress)


def _filler(
    embedder: HuggingFaceEmbedder,
    corpus: Corpus,
    vocabulary: Vocabulary,
    subtokens: Subtokens | None,
) -> Callable[[Path], dict[str, Any]]:
    """Return a function that fills a cache entry in one pass over the texts, in shards of whole documents."""

    def fill(folder: Path) -> dict[str, Any]:
        places = find_words(corpus.texts, corpus.vocab, vocabulary)
        work = {
            shard_path(folder, docs): _Shard(
                corpus.texts[docs], places.of_docs(docs.start, docs.stop), subtokens
            )
            for docs in _shards(places)
        }
        write_shards(embedder, work, _encode)
        is_read = [~np.isnan(load_array(path)[:, 0]) for path in work]
        kept = np.concatenate(is_read)
        save_array(folder / f"{WORDS}.npy", places.words[kept])
        save_array(folder / f"{DOCS}.npy", places.docs[kept].astype(np.int32))
        join(list(work), folder / f"{VECTORS}.npy", is_read)
        for path in work:
            path.unlink()
        return {**embedder.facts(), **_reach(kept, embedder.token_limit)}

    return fill


def _shards(places: WordPlaces) -> list[slice]:
    """Runs of documents with at most SHARD_WORDS occurrences in total, or one document with more."""
    offsets, shards, start = places.offsets, [], 0
    while start < places.num_docs:
        stop = int(np.searchsorted(offsets, offsets[start] + SHARD_WORDS, side="right")) - 1
        shards.append(slice(start, max(stop, start + 1)))
        start = shards[-1].stop
    return shards


def _reach(is_read: np.ndarray, limit: int) -> dict[str, int]:
    num_beyond = int((~is_read).sum())
    if num_beyond:
        log.info(
            "%d of %d occurrences of words (%.1f%%) lie beyond the model's %d tokens",
            num_beyond,
            len(is_read),
            100 * num_beyond / len(is_read),
            limit,
        )
    return {"num_places": len(is_read), "num_beyond": num_beyond}
