"""Meter: CPU seconds and peak memory of one stretch of this process; peers import it too."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from types import TracebackType

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
    """Cost of a `with` block; read after it ends.

    cpu_seconds: user + system of the whole process, its threads included.  wall_seconds.
    peak_mb: highest resident memory in the block over the resident memory when it began, 10^6 bytes; Linux
        only, because elsewhere the high-water mark cannot be reset and would count the imports.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_mb: float

    def __enter__(self) -> Meter:
        gc.collect()
        CLEAR_REFS.write_text("5")  # VmHWM := VmRSS, proc(5)
        self._resident = resident_bytes("VmRSS")
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cpu_seconds = cpu_seconds() - self._cpu
        self.wall_seconds = time.perf_counter() - self._wall
        self.peak_mb = (resident_bytes("VmHWM") - self._resident) / 1e6

    def readings(self) -> dict[str, float]:
        return {"cpu_seconds": self.cpu_seconds, "wall_seconds": self.wall_seconds, "peak_mb": self.peak_mb}


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (highest since the last reset) of this process."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
