"""A large corpus through a language model: shard by shard, on one device or several, resumed after a kill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import multiprocessing
from tqdm import tqdm

from topiclab.data.cache import Cache, Entry, atomic_file, load_array, save_array
from topiclab.embed.embedder import VECTORS
from topiclab.embed.huggingface import HuggingFaceEmbedder

log = logging.getLogger(__name__)

SHARD_DOCS = 2_048
ROWS = "rows"
Progress = Callable[[int], Any]
W = TypeVar("W", bound=Sized)


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
        paths = [shard_path(folder, shard) for shard in shards]
        work = {path: unique[shard] for path, shard in zip(paths, shards, strict=True)}
        write_shards(embedder, work, _encode)
        join(paths, folder / f"{VECTORS}.npy")
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


def shard_path(folder: Path, shard: slice) -> Path:
    return folder / f"shard-{shard.start:09d}-{shard.stop:09d}.npy"


def _encode(embedder: HuggingFaceEmbedder, texts: Sequence[str], progress: Progress) -> np.ndarray:
    return embedder.encode_full(texts, progress)


def write_shards(
    embedder: HuggingFaceEmbedder,
    work: Mapping[Path, W],
    encode: Callable[[HuggingFaceEmbedder, W, Progress], np.ndarray],
) -> None:
    """Write encode(embedder, what) to every path that is not there, on the embedder's devices.

    encode: a function of a module, which another process can import; it calls progress with the number of
    documents it has done, of len(what). RuntimeError when a process of several fails.
    """
    missing = {path: what for path, what in work.items() if not path.exists()}
    if len(missing) < len(work):
        log.info("resuming: %d of %d shards are there", len(work) - len(missing), len(work))
    if len(embedder.device_names) > 1:
        _write_on_devices(embedder, missing, encode)
        return
    total = sum(map(len, missing.values()))
    with tqdm(total=total, unit="docs", desc="embedding", disable=None) as bar:
        for path, what in missing.items():
            save_array(path, encode(embedder, what, bar.update))


def _write_on_devices(embedder: HuggingFaceEmbedder, work: Mapping[Path, W], encode: Callable) -> None:
    """One process per device, each with every n-th shard."""
    context = multiprocessing.get_context("spawn")
    names = embedder.device_names
    workers = []
    for rank, name in enumerate(names):
        own = dict(list(work.items())[rank :: len(names)])
        worker = replace(embedder, device=name, devices=None)
        workers.append(context.Process(target=_write_share, args=(worker, own, encode), daemon=True))
    for process in workers:
        process.start()
    for process in workers:
        process.join()
    failed = [name for name, process in zip(names, workers, strict=True) if process.exitcode]
    if failed:
        raise RuntimeError(
            f"embedding stopped on {', '.join(failed)}; finished shards stay, run it again to resume"
        )


def _write_share(embedder: HuggingFaceEmbedder, share: Mapping[Path, W], encode: Callable) -> None:
    for path, what in share.items():
        save_array(path, encode(embedder, what, lambda _: None))


def join(paths: Sequence[Path], joined: Path, kept: Sequence[np.ndarray] | None = None) -> None:
    """Shards to one file, one in memory at a time; the shards are removed once it is whole.

    kept: which rows of each shard, bool; None is all.
    """
    parts = [load_array(path) for path in paths]
    num_rows = sum(map(len, parts)) if kept is None else int(sum(map(np.sum, kept)))
    header = {
        "descr": np.lib.format.dtype_to_descr(parts[0].dtype),
        "fortran_order": False,
        "shape": (num_rows, *parts[0].shape[1:]),
    }
    with atomic_file(joined) as stream:
        np.lib.format.write_array_header_2_0(stream, header)
        for index, part in enumerate(parts):
            stream.write((part if kept is None else part[kept[index]]).tobytes())
    del parts
    for path in paths:
        path.unlink()
