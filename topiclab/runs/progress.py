"""Progress: one line for each finished cell of a sweep, with the time that the rest will take."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from datetime import timedelta
from statistics import median


class Progress:
    """Counts cells as they end; the clock starts when it is created.

    labels: of the cells to run.  kinds: cells of one kind are expected to take the same time.
    jobs: number of cells that run at a time.
    """

    def __init__(self, labels: Sequence[str], kinds: Sequence[Hashable], jobs: int) -> None:
        self._labels, self._kinds, self._jobs = labels, kinds, jobs
        self._start = time.monotonic()
        self._waiting = Counter(kinds)
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)
        self._ended = self._failed = 0

    def ended(self, number: int, is_done: bool, seconds: float) -> str:
        """Line about a cell that took so many seconds, and about the sweep so far."""
        self._ended += 1
        self._failed += not is_done
        self._waiting[self._kinds[number]] -= 1
        if is_done:
            self._seconds[self._kinds[number]].append(seconds)
        parts = [f"{_clock(time.monotonic() - self._start)} elapsed"]
        if (left := self.seconds_left()) is not None:
            parts.append(f"about {_clock(left)} left")
        if self._failed:
            parts.append(f"{self._failed} failed")
        count = f"[{self._ended}/{len(self._labels)}] {self._labels[number]}"
        status = "done" if is_done else "failed"
        return f"{count}  {status}  {seconds:.1f} s  ({', '.join(parts)})"

    def seconds_left(self) -> float | None:
        """Estimate of the remaining seconds; None before the first cell is done.

        From the median cell of each kind, or of all kinds while a kind has none. The median, because the
        first cells also load the corpus and fill the caches.
        """
        waiting = sum(self._waiting.values())
        if not waiting or not self._seconds:
            return None
        typical = {kind: median(seconds) for kind, seconds in self._seconds.items()}
        of_all = median(second for seconds in self._seconds.values() for second in seconds)
        work = sum(count * typical.get(kind, of_all) for kind, count in self._waiting.items())
        return work / min(self._jobs, waiting)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
