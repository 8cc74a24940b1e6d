"""One process for each device of an embedder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import multiprocessing

from topiclab.embed.huggingface import HuggingFaceEmbedder

SECONDS_BETWEEN_LOOKS = 1.0


class Progress(Protocol):
    """Counts documents: called with those done, `skip` those that need no work."""

    def __call__(self, count: int) -> None: ...

    def skip(self, count: int) -> None: ...


Work = Callable[[HuggingFaceEmbedder, Any, Progress], None]


def on_devices(embedder: HuggingFaceEmbedder, shares: Sequence[Any], work: Work, progress: Progress) -> None:
    """work(embedder of a device, its share, progress), all devices at the same time.

    work: a function of a module, which another process can import.  shares: one a device, of plain data.
    RuntimeError when a process fails.
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
            counts.tell(progress)
    failed = [name for name, process in zip(names, workers, strict=True) if process.exitcode]
    if failed:
        raise RuntimeError(
            f"embedding stopped on {', '.join(failed)}; finished shards stay, run it again to resume"
        )


class _Counts:
    """Progress in memory that processes share; told to another Progress by the one that started them."""

    def __init__(self, context: Any) -> None:
        self._done, self._skipped = context.Value("q", 0), context.Value("q", 0)
        self._told = (0, 0)

    def __call__(self, count: int) -> None:
        _add(self._done, count)

    def skip(self, count: int) -> None:
        _add(self._skipped, count)

    def tell(self, progress: Progress) -> None:
        now = self._done.value, self._skipped.value
        progress.skip(now[1] - self._told[1])
        progress(now[0] - self._told[0])
        self._told = now


def _add(value: Any, count: int) -> None:
    with value.get_lock():
        value.value += count
