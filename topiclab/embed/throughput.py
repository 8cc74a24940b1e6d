"""Progress and throughput of an encoding: a bar on a terminal, one line a minute in a log."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60


class Throughput:
    """Counts documents as they are encoded; called with the number of documents in a batch."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.seconds = total, 0, 0.0
        self._bar = tqdm(total=total, unit="docs", desc="embedding", disable=None)
        self._start = self._logged = time.perf_counter()

    def __enter__(self) -> Throughput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self._bar.close()
        if self.done:
            log.info("embedded %d documents in %.0f s, %.1f per second", self.done, self.seconds, self.rate)

    @property
    def rate(self) -> float:
        """Documents per second, without those that were already encoded."""
        return self.done / max(self.seconds or time.perf_counter() - self._start, 1e-9)

    def __call__(self, count: int) -> None:
        if not count:
            return
        self.done += count
        self._bar.update(count)
        now = time.perf_counter()
        if not sys.stderr.isatty() and now - self._logged > SECONDS_BETWEEN_LINES:
            self._logged = now
            left = (self.total - self.done) / self.rate
            minutes = f"about {left / 60:.0f} minutes left"
            log.info(
                "embedding: %d of %d documents, %.1f per second, %s",
                self.done,
                self.total,
                self.rate,
                minutes,
            )

    def skip(self, count: int) -> None:
        """Subtract documents that need no encoding from the total, so that the time estimate stays right."""
        self.total -= count
        self._bar.total = self.total
        self._bar.refresh()
