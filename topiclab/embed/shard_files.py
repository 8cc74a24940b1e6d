"""Shards of vectors as files of one folder: written from one device or several, resumed, joined."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from topiclab.atomic import atomic_file
from topiclab.cache import load_array, save_array
from topiclab.embed.devices import Progress, on_devices
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.embed.throughput import Throughput

log = logging.getLogger(__name__)

W = TypeVar("W", bound=Sized)
Encode = Callable[[HuggingFaceEmbedder, W, Progress], np.ndarray]


def shard_path(folder: Path, shard: slice) -> Path:
    return folder / f"shard-{shard.start:09d}-{shard.stop:09d}.npy"


def write_shards(embedder: HuggingFaceEmbedder, work: Mapping[Path, W], encode: Encode[W]) -> None:
    """Write encode(embedder, what, progress) to every missing path, on the embedder's devices.

    encode: a module-level function, which another process can import; it calls progress with the number of
    documents done, of len(what). Raises RuntimeError if one of several processes fails.
    """
    missing = {path: what for path, what in work.items() if not path.exists()}
    if len(missing) < len(work):
        log.info("resuming: %d of %d shards exist", len(work) - len(missing), len(work))
    num_devices = len(embedder.device_names)
    with Throughput(sum(map(len, missing.values()))) as throughput:
        if num_devices == 1:
            _write(embedder, (missing, encode), throughput)
            return
        shares = [(dict(list(missing.items())[rank::num_devices]), encode) for rank in range(num_devices)]
        on_devices(embedder, shares, _write, throughput)


def _write(
    embedder: HuggingFaceEmbedder, share: tuple[Mapping[Path, Any], Encode[Any]], progress: Progress
) -> None:
    """Write every path of one device's share."""
    work, encode = share
    for path, what in work.items():
        save_array(path, encode(embedder, what, progress))


def join(paths: Sequence[Path], joined: Path, kept: Sequence[np.ndarray] | None = None) -> None:
    """Join shards to one file, with one shard in memory at a time.

    kept: bool mask of the rows of each shard; None: all.
    """
    shapes = [load_array(path).shape for path in paths]
    num_rows = sum(shape[0] for shape in shapes) if kept is None else int(sum(map(np.sum, kept)))
    header = {
        "descr": np.lib.format.dtype_to_descr(load_array(paths[0]).dtype),
        "fortran_order": False,
        "shape": (num_rows, *shapes[0][1:]),
    }
    with atomic_file(joined) as stream:
        np.lib.format.write_array_header_2_0(stream, header)
        for index, path in enumerate(paths):
            part = load_array(path)
            stream.write((part if kept is None else part[kept[index]]).tobytes())
