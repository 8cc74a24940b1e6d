"""Schedule: which cell a free worker takes next."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

Group = tuple[str, ...]


class Schedule:
    """Cells by group, so that a worker keeps to what it has loaded.

    groups: one per cell, the costliest part first. A worker stays with its group while that has cells; then
    it takes a group without a worker, preferably one with the same costliest parts; if there is none, it
    helps where the most cells wait per worker.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._waiting: dict[Group, deque[int]] = {}
        for number, group in enumerate(groups):
            self._waiting.setdefault(group, deque()).append(number)
        self._at: dict[int, Group] = {}

    def __bool__(self) -> bool:
        """True if cells wait."""
        return bool(self._waiting)

    def take(self, worker: int) -> int:
        """The number of the worker's next cell; KeyError if none waits."""
        mine = self._at.pop(worker, None)
        if mine not in self._waiting:
            mine = self._best(mine)
        self._at[worker] = mine
        number = self._waiting[mine].popleft()
        if not self._waiting[mine]:
            del self._waiting[mine]
        return number

    def leave(self, worker: int) -> None:
        """Forget a worker that ended: what it had loaded is gone."""
        self._at.pop(worker, None)

    def _best(self, last: Group | None) -> Group:
        if not self._waiting:
            raise KeyError("no cell waits")
        workers = Counter(self._at.values())

        def rank(group: Group) -> tuple[bool, int, float]:
            return (
                workers[group] > 0,
                -_shared(group, last or ()),
                -len(self._waiting[group]) / (workers[group] + 1),
            )

        return min(self._waiting, key=rank)


def _shared(group: Group, other: Group) -> int:
    """Number of leading parts that agree."""
    count = 0
    for part, part_of_other in zip(group, other, strict=False):
        if part != part_of_other:
            break
        count += 1
    return count
