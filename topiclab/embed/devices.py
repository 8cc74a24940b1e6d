"""Encoding on several devices, one process per device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import multiprocessing

from topiclab.embed.huggingface import HuggingFaceEmbedder

SECONDS_BETWEEN_LOOKS = 1.0


class Progress(Protocol):
    """Counts documents: called with the number done; `skip` takes the number that need no work."""

    def __call__(self, count: int) -> None: ...

    def skip(self, count: int) -> None: ...


Work = Callable[[HuggingFaceEmbedder, Any, Progress], None]


def on_devices(embedder: HuggingFaceEmbedder, shares: Sequence[Any], work: Work, progress: Progress) -> None:
    """Run work(embedder on a device, its share, progress) on all devices at the same time.

    work: a module-level function, which another process can import.  shares: plain data, one per device.
    Raises RuntimeError if a process fails.
    """
    names = embedder.device_names
    context = multiprocessing.get_context("spawn")
    counts = _Counts(context)
    workers = [
        context.Process(
            target=work, args=(replace(embedder, device=name, devices=None), share, counts), daemon=True
        )
        for name, share in zip(names, shares, strict=True)
    ]
    for process in workers:
        process.start()
    for process in workers:
        while process.is_alive():
            process.join(SECONDS_BETWEEN_LOOKS)
            counts.report(progress)
    failed = [name for name, process in zip(names, workers, strict=True) if process.exitcode]
    if failed:
        raise RuntimeError(
            f"embedding stopped on {', '.join(failed)}; finished shards are kept, run it again to resume"
        )


class _Counts:
    """Progress in memory shared by the workers; the parent process passes it on to another Progress."""

    def __init__(self, context: Any) -> None:
        self._done, self._skipped = context.Value("q", 0), context.Value("q", 0)
        self._reported = (0, 0)

    def __call__(self, count: int) -> None:
        _add(self._done, count)

    def skip(self, count: int) -> None:
        _add(self._skipped, count)

    def report(self, progress: Progress) -> None:
        now = self._done.value, self._skipped.value
        progress.skip(now[1] - self._reported[1])
        progress(now[0] - self._reported[0])
        self._reported = now


def _add(value: Any, count: int) -> None:
    with value.get_lock():
        value.value += count
