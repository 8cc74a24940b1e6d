"""Encoding of a large corpus with a language model: in shards, by one job or many, resumed after a kill.

A shard is 2,048 distinct texts and a separate cache entry, whole or absent, so a killed job loses at most
one. Any number of jobs fill them; the next job that needs the vectors of the corpus joins them.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.cache import Cache, Entry, Key, key_hash, save_array
from topiclab.data.corpus import text_fingerprint
from topiclab.digest import SEAL
from topiclab.embed.devices import Progress, on_devices
from topiclab.embed.entries import KIND, ROWS, VECTORS
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.embed.shard_files import join
from topiclab.embed.throughput import Throughput

log = logging.getLogger(__name__)

SHARD_DOCS = 2_048
# Facts that differ between the manifests of shards.
SHARD_FACTS = ("inputs", "files", "created", "seconds", "num_texts", "long", SEAL)


@dataclass(frozen=True)
class Distinct:
    """Distinct texts in order of first appearance, found anew in every iteration; holds 16 bytes per text."""

    texts: Iterable[str]

    def __iter__(self) -> Iterator[str]:
        seen: set[bytes] = set()
        for text in self.texts:
            digest = _digest(text)
            if digest not in seen:
                seen.add(digest)
                yield text


@dataclass(frozen=True)
class Share:
    """Every num_parts-th shard of distinct texts, starting at shard `part`.  size: texts in a shard."""

    distinct: Iterable[str]
    size: int
    part: int = 0
    num_parts: int = 1

    def __iter__(self) -> Iterator[list[str]]:
        texts = iter(self.distinct)
        number = 0
        while shard := list(islice(texts, self.size)):
            if number % self.num_parts == self.part:
                yield shard
            number += 1

    def among(self, count: int) -> list[Iterable[list[str]]]:
        """This share split among `count` processes; of a list, each gets only its own shards."""
        step = self.num_parts
        parts = [replace(self, part=self.part + step * rank, num_parts=step * count) for rank in range(count)]
        return [list(part) if isinstance(self.distinct, Sequence) else part for part in parts]


@dataclass(frozen=True)
class Part:
    """Work of one of several jobs: number of documents, number encoded, duration, and facts about the run."""

    num_docs: int
    num_encoded: int
    seconds: float
    manifest: dict[str, Any]


@dataclass(frozen=True)
class _Shards:
    """The shards of one corpus under one embedder.  key: cache key of all its vectors."""

    cache: Cache
    key: Key

    @property
    def kind(self) -> str:
        return f"embedding_shards/{key_hash(self.key)}"

    def key_of(self, texts: Sequence[str]) -> dict[str, Any]:
        return {"texts": text_fingerprint(texts), "embedder": self.key["embedder"]}

    def are_joined(self) -> bool:
        return self.cache.read(KIND, self.key) is not None

    def manifest_of(self, texts: Sequence[str]) -> dict[str, Any]:
        entry = self.cache.read(self.kind, self.key_of(texts))
        return {} if entry is None else entry.manifest

    def folder_of(self, texts: Sequence[str]) -> Path:
        return self.cache.folder(self.kind, self.key_of(texts))

    def remove(self) -> None:
        """Remove all shards, including those of a job that was killed after joining them."""
        shutil.rmtree(self.cache.root / self.kind, ignore_errors=True)


def encode_in_shards(embedder: HuggingFaceEmbedder, texts: Sequence[str], cache: Cache, key: Key) -> Entry:
    """The entry with every distinct text's vector, all dimensions; see `load_vectors`.

    Missing shards (`num_encoded` texts in the manifest) are encoded first, then all are joined. Joining needs
    twice the disk space of the vectors; the shards are removed once the entry is published.
    """
    shards = _Shards(cache, key)

    def fill(folder: Path) -> dict[str, Any]:
        unique, rows = distinct(texts)
        share = Share(unique, SHARD_DOCS)
        with Throughput(len(unique)) as throughput:
            _fill(embedder, share, shards, throughput)
        paths = [shards.folder_of(shard) / f"{VECTORS}.npy" for shard in share]
        manifests = [shards.manifest_of(shard) for shard in share]
        counts = [facts["num_texts"] for facts in manifests]
        facts = {
            **_common_facts(manifests),
            "num_long": _num_long([facts.get("long") for facts in manifests], counts, rows),
        }
        join(paths, folder / f"{VECTORS}.npy")
        if len(unique) < len(texts):
            save_array(folder / f"{ROWS}.npy", rows)
        sizes = {"num_texts": len(texts), "num_distinct": len(unique), "num_encoded": throughput.done}
        return {**facts, **sizes}

    entry = cache.entry(KIND, key, fill)
    shards.remove()
    return entry


def encode_part(
    embedder: HuggingFaceEmbedder, texts: Iterable[str], cache: Cache, part: int, num_parts: int
) -> Part:
    """Encode the shards part, part + num_parts, ... that no other job has, for `encode_in_shards` to join.

    texts: of the whole corpus, read twice; a stream is never held in memory at once. Raises ValueError if
    there are none.
    """
    fingerprint, num_distinct = _survey(texts)
    if num_distinct == 0:
        raise ValueError("there is no document with text to embed; check data.path and data.text_column")
    model = {**embedder.fingerprint(), "truncate_dim": None}
    shards = _Shards(cache, {"texts": fingerprint, "embedder": model})
    share = Share(Distinct(texts), SHARD_DOCS, part, num_parts)
    starts = range(part * SHARD_DOCS, num_distinct, num_parts * SHARD_DOCS)
    num_docs = sum(min(SHARD_DOCS, num_distinct - start) for start in starts)
    log.info(
        "part %d of %d: %d of %d shards, %d documents",
        part,
        num_parts,
        len(starts),
        -(-num_distinct // SHARD_DOCS),
        num_docs,
    )
    with Throughput(num_docs) as throughput:
        _fill(embedder, share, shards, throughput)
    manifest = shards.manifest_of(next(iter(share), []))
    facts = {name: value for name, value in manifest.items() if name not in SHARD_FACTS}
    return Part(num_docs, throughput.done, throughput.seconds, {"inputs": shards.key, **facts})


def distinct(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Distinct texts in order of first appearance, and the row of every text among them, (D,) int64."""
    positions: dict[str, int] = {}
    rows = np.fromiter((positions.setdefault(text, len(positions)) for text in texts), np.int64, len(texts))
    return list(positions), rows


def _fill(embedder: HuggingFaceEmbedder, share: Share, shards: _Shards, throughput: Throughput) -> None:
    num_devices = len(embedder.device_names)
    if num_devices == 1:
        _encode_missing(embedder, (share, shards), throughput)
        return
    work = [(part, shards) for part in share.among(num_devices)]
    on_devices(embedder, work, _encode_missing, throughput)


def _encode_missing(
    embedder: HuggingFaceEmbedder, work: tuple[Iterable[list[str]], _Shards], progress: Progress
) -> None:
    """Encode missing shards; those that another job is encoding come last, in case that job fails."""
    share, shards = work

    def fill(folder: Path) -> dict[str, Any]:
        save_array(folder / f"{VECTORS}.npy", embedder.encode_full(texts, progress))
        is_long = np.flatnonzero(embedder.is_long).tolist()
        return {**embedder.facts(), "num_texts": len(texts), "long": is_long}

    in_hand: list[list[str]] = []
    for texts in share:
        if shards.are_joined():
            return
        entry = shards.cache.free_entry(shards.kind, shards.key_of(texts), fill)
        if entry is None:
            in_hand.append(texts)
        elif entry.is_cached:
            progress.skip(len(texts))
    for texts in in_hand:
        if shards.are_joined():
            return
        if shards.cache.entry(shards.kind, shards.key_of(texts), fill).is_cached:
            progress.skip(len(texts))


def _survey(texts: Iterable[str]) -> tuple[str, int]:
    """The fingerprint of the texts, and the number of distinct ones."""
    seen: set[bytes] = set()

    def noted() -> Iterator[str]:
        for text in texts:
            seen.add(_digest(text))
            yield text

    return text_fingerprint(noted()), len(seen)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _num_long(
    of_shards: Sequence[Sequence[int] | None], counts: Sequence[int], rows: np.ndarray
) -> int | None:
    """Number of texts with more tokens than are read; None if a shard of an earlier version does not say.

    of_shards: their places in each shard.  counts: texts of each shard.
    rows: (D,) row of every text among the distinct ones.
    """
    is_long = np.zeros(sum(counts), bool)
    for places, start in zip(of_shards, np.cumsum([0, *counts]), strict=False):
        if places is None:
            return None
        is_long[start + np.asarray(places, int)] = True
    return int(is_long[rows].sum())


def _common_facts(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Facts from the manifests of all shards: a list of values where they differ; the union of devices."""
    facts: dict[str, Any] = {}
    for name in (name for name in manifests[0] if name not in SHARD_FACTS):
        values = [manifest[name] for manifest in manifests]
        if name == "device":
            values = [sorted({device for devices in values for device in devices})]
        several = [value for place, value in enumerate(values) if value not in values[:place]]
        facts[name] = several[0] if len(several) == 1 else several
    return facts
