"""A large corpus through a language model: shard by shard, on one device or several, resumed after a kill."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import multiprocessing
from tqdm import tqdm

from topiclab.data.cache import Cache, Entry, atomic_file, load_array, save_array
from topiclab.embed.embedder import VECTORS
from topiclab.embed.huggingface import HuggingFaceEmbedder

log = logging.getLogger(__name__)

SHARD_DOCS = 2_048
ROWS = "rows"


def encode_in_shards(
    embedder: HuggingFaceEmbedder, texts: Sequence[str], cache: Cache, key: Mapping[str, Any]
) -> Entry:
    """The entry with every distinct text's vector, all dimensions; see `load_vectors`.

    A shard is 2,048 distinct texts and one file, whole or absent, so a killed job loses one shard at most.
    Publishing joins the shards into one file, which needs the disk space of the vectors twice.
    """

    def fill(folder: Path) -> dict[str, Any]:
        unique, rows = distinct(texts)
        shards = [slice(start, start + SHARD_DOCS) for start in range(0, len(unique), SHARD_DOCS)]
        missing = [shard for shard in shards if not _shard_path(folder, shard).exists()]
        if len(missing) < len(shards):
            log.info("resuming: %d of %d shards are there", len(shards) - len(missing), len(shards))
        if len(embedder.device_names) > 1:
            _encode_on_devices(embedder, unique, missing, folder)
        else:
            _encode(embedder, unique, missing, folder)
        _join([_shard_path(folder, shard) for shard in shards], folder / f"{VECTORS}.npy")
        if len(unique) < len(texts):
            save_array(folder / f"{ROWS}.npy", rows)
        return {**embedder.facts(), "num_texts": len(texts), "num_distinct": len(unique)}

    return cache.entry("embeddings", key, fill, is_resumable=True)


def load_vectors(entry: Entry) -> np.ndarray:
    """(D, E) in the corpus's order; memory-mapped unless the corpus repeats texts."""
    arrays = entry.arrays()
    return arrays[VECTORS][arrays[ROWS]] if ROWS in arrays else arrays[VECTORS]


def distinct(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Distinct texts in order of first sight, and for every text its row among them, (D,) int64."""
    positions: dict[str, int] = {}
    rows = np.fromiter((positions.setdefault(text, len(positions)) for text in texts), np.int64, len(texts))
    return list(positions), rows


def _shard_path(folder: Path, shard: slice) -> Path:
    return folder / f"shard-{shard.start:09d}-{shard.stop:09d}.npy"


def _encode(
    embedder: HuggingFaceEmbedder, texts: Sequence[str], shards: Sequence[slice], folder: Path
) -> None:
    num_texts = sum(len(texts[shard]) for shard in shards)
    with tqdm(total=num_texts, unit="docs", desc="embedding", disable=None) as bar:
        for shard in shards:
            save_array(_shard_path(folder, shard), embedder.encode_full(texts[shard], bar.update))


def _encode_on_devices(
    embedder: HuggingFaceEmbedder, texts: Sequence[str], shards: Sequence[slice], folder: Path
) -> None:
    """One process per device, each with every n-th shard; RuntimeError when one of them fails."""
    context = multiprocessing.get_context("spawn")
    names = embedder.device_names
    workers = []
    for rank, name in enumerate(names):
        own = {_shard_path(folder, shard): texts[shard] for shard in shards[rank :: len(names)]}
        worker = replace(embedder, device=name, devices=None)
        workers.append(context.Process(target=_encode_share, args=(worker, own), daemon=True))
    for process in workers:
        process.start()
    for process in workers:
        process.join()
    failed = [name for name, process in zip(names, workers, strict=True) if process.exitcode]
    if failed:
        raise RuntimeError(
            f"embedding stopped on {', '.join(failed)}; finished shards stay, run it again to resume"
        )


def _encode_share(embedder: HuggingFaceEmbedder, share: Mapping[Path, Sequence[str]]) -> None:
    for path, texts in share.items():
        save_array(path, embedder.encode_full(texts))


def _join(paths: Sequence[Path], joined: Path) -> None:
    """Shards to one file, one in memory at a time; the shards are removed once it is whole."""
    shapes = [load_array(path).shape for path in paths]
    shape = (sum(rows for rows, _ in shapes), shapes[0][1])
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
        "fortran_order": False,
        "shape": shape,
    }
    with atomic_file(joined) as stream:
        np.lib.format.write_array_header_2_0(stream, header)
        for path in paths:
            stream.write(np.load(path).tobytes())
    for path in paths:
        path.unlink()
