"""Soft labels of a corpus, made by a teacher or read from the cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from tqdm import tqdm

from topiclab.atomic import atomic_file
from topiclab.cache import Cache, key_hash
from topiclab.config.instantiate import build
from topiclab.data.soft_labels import SoftLabels
from topiclab.settings import Trainer

if TYPE_CHECKING:
    from topiclab.data.datamodule import TopicDataModule

log = logging.getLogger(__name__)

SHARD_DOCS = 1024
LOWEST = -65504.0  # the lowest finite float16
DRIVER_OPTIONS = ("temperature", "top_k")


class Teacher(Protocol):
    """Gives the logits of every word of the vocabulary for each document."""

    def fingerprint(self, datamodule: TopicDataModule) -> dict[str, Any]:
        """Plain JSON of all that the labels depend on besides the texts and the vocabulary."""
        ...

    def prepare(self, datamodule: TopicDataModule) -> dict[str, Any]:
        """Load or compute what `label` needs; return manifest facts. ValueError for what it cannot teach."""
        ...

    def label(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits (n, V) float32, -inf for impossible words, and input vectors (n, E) or None, of rows."""
        ...


def make_teacher(teacher: Mapping[str, Any], trainer: Trainer | None) -> Teacher:
    """The teacher of a `conf/teacher` group; `trainer` gives device and precision where they matter."""
    return build({name: value for name, value in teacher.items() if name not in DRIVER_OPTIONS}, trainer)


def soft_labels(
    teacher_cfg: Mapping[str, Any], datamodule: TopicDataModule, trainer: Trainer | None
) -> SoftLabels:
    """Soft labels of every document by the teacher of the `teacher` group, from the cache if they are there.

    The pass fills shards of documents, so an interrupted one resumes where it stopped.
    """
    started = time.perf_counter()
    teacher = make_teacher(teacher_cfg, trainer)
    key = {
        **text_key(datamodule),
        "teacher": teacher.fingerprint(datamodule),
        "top_k": teacher_cfg["top_k"],
    }

    def fill(folder: Path) -> dict[str, Any]:
        shards = list(range(0, datamodule.corpus.num_docs, SHARD_DOCS))
        missing = [start for start in shards if not _shard(folder, start).exists()]
        if len(missing) < len(shards):
            log.info("resuming: %d of %d shards are there", len(shards) - len(missing), len(shards))
        facts = teacher.prepare(datamodule)
        bar = tqdm(missing, unit_scale=SHARD_DOCS, unit="docs", desc="teaching", disable=None)
        for start in bar:
            rows = np.arange(start, min(start + SHARD_DOCS, datamodule.corpus.num_docs))
            arrays = pack(*teacher.label(rows), teacher_cfg["top_k"], rows)
            with atomic_file(_shard(folder, start)) as stream:
                np.savez(stream, **arrays)  # type: ignore[arg-type]
        silent = _join(folder, [_shard(folder, start) for start in shards])
        if silent:
            _report_silent(silent, datamodule.corpus.num_docs)
        return {**facts, "num_uninformative": silent}

    if datamodule.cache_root is None:
        with TemporaryDirectory() as folder:
            manifest, is_cached = fill(Path(folder)), False
            arrays = {path.stem: np.load(path, allow_pickle=False) for path in Path(folder).glob("*.npy")}
    else:
        entry = Cache(datamodule.cache_root).entry("soft_labels", key, fill, is_resumable=True)
        arrays, manifest, is_cached = entry.arrays(), entry.manifest, entry.is_cached
    return SoftLabels(
        logits=arrays["logits"],
        words=arrays.get("words"),
        peaks=arrays["peaks"],
        residual=arrays.get("residual"),
        vectors=arrays.get("vectors"),
        num_words=datamodule.corpus.num_words,
        temperature=teacher_cfg["temperature"],
        key=key_hash(key),
        manifest=manifest,
        is_cached=is_cached,
        seconds=time.perf_counter() - started,
    )


def text_key(datamodule: TopicDataModule) -> dict[str, str]:
    """Hashes of what soft labels describe: texts and vocabulary, in order."""
    corpus = datamodule.corpus
    return {"texts": corpus.text_fingerprint, "vocabulary": key_hash({"words": list(corpus.vocab)})}


def pack(
    logits: np.ndarray, vectors: np.ndarray | None, top_k: int | None, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Arrays of one shard, see SoftLabels; ValueError names the documents whose logits are not numbers."""
    if (bad := np.isnan(logits).any(axis=1) | np.isposinf(logits).any(axis=1)).any():
        shown = ", ".join(map(str, rows[bad][:5]))
        raise ValueError(
            f"the teacher gave logits that are not numbers for {int(bad.sum())} documents (rows {shown}); "
            "use trainer.precision=fp32, or leave these documents out"
        )
    peaks = logits.max(axis=1)
    if (empty := np.isneginf(peaks)).any():
        raise ValueError(
            f"the teacher finds every word impossible for {int(empty.sum())} documents (rows "
            f"{', '.join(map(str, rows[empty][:5]))}); use another teacher, or leave these documents out"
        )
    shifted = logits - peaks[:, None]
    arrays = {"peaks": peaks.astype(np.float32)}
    if top_k is not None and top_k < logits.shape[1]:
        kept = np.argpartition(-shifted, top_k, axis=1)[:, :top_k]
        values = np.take_along_axis(shifted, kept, axis=1)
        order = np.lexsort((kept, -values), axis=1)
        kept, values = np.take_along_axis(kept, order, axis=1), np.take_along_axis(values, order, axis=1)
        mass = np.exp(shifted).sum(axis=1)
        arrays["residual"] = (1 - np.exp(values).sum(axis=1) / mass).clip(0, 1).astype(np.float32)
        arrays["words"] = kept.astype(np.int32)
        shifted = values
    finite = np.isfinite(shifted)
    arrays["logits"] = np.where(finite, shifted.clip(LOWEST, 0), -np.inf).astype(np.float16)
    is_possible = ~np.isneginf(logits).all(axis=0)  # a teacher may leave words out of every label
    arrays["is_silent"] = (logits[:, is_possible] == peaks[:, None]).all(axis=1) & (is_possible.sum() > 1)
    return arrays if vectors is None else {**arrays, "vectors": vectors.astype(np.float32)}


def _shard(folder: Path, start: int) -> Path:
    return folder / f"shard-{start:09d}.npz"


def _join(folder: Path, shards: list[Path]) -> int:
    """Join shards to one file per array, one in memory at a time; number of documents with equal logits."""
    silent = 0
    with np.load(shards[0], allow_pickle=False) as first:
        facts = {name: (first[name].shape[1:], first[name].dtype) for name in first.files}
    facts.pop("is_silent")
    num_docs = 0
    for path in shards:
        with np.load(path, allow_pickle=False) as arrays:
            silent += int(arrays["is_silent"].sum())
            num_docs += len(arrays["peaks"])
    joined = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (num_docs, *shape))
        for name, (shape, dtype) in facts.items()
    }
    start = 0
    for path in shards:
        with np.load(path, allow_pickle=False) as arrays:
            stop = start + len(arrays["peaks"])
            for name, target in joined.items():
                target[start:stop] = arrays[name]
            start = stop
    for target in joined.values():
        target.flush()
    for path in shards:
        path.unlink()
    return silent


def _report_silent(silent: int, num_docs: int) -> None:
    if silent == num_docs:
        raise ValueError(
            "the teacher finds all words equally likely for every document, so it teaches nothing; "
            "use another teacher"
        )
    log.warning("the teacher finds all words equally likely for %d of %d documents", silent, num_docs)
