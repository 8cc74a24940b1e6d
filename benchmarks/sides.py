"""Sides: the processes that a benchmark compares, one thread each, started in turn."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

BENCHMARKS = Path(__file__).resolve().parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}


def run_side(python: Path, script: Path, *arguments: object) -> dict[str, Any]:
    """Run `python script OUT arguments...` in a fresh process; OUT is where it writes with `report_side`.

    Returns its report, `assignment` (D,) and any `top_words` included. Raises RuntimeError with the end
    of its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "side"
        command = [str(part) for part in (python, script, out, *arguments)]
        search_path = os.pathsep.join(filter(None, (str(BENCHMARKS), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": search_path}
        ran = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if ran.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout[-3000:]}")
        report = json.loads(out.with_suffix(".json").read_text())
        report["assignment"] = np.load(out.with_suffix(".npy"))
        return report


def report_side(
    out: Path, theta: np.ndarray, top_words: list[list[int]] | None = None, **readings: float
) -> None:
    """Write the report of a side: numbers, each document's largest topic, and ids of each topic's words."""
    np.save(out.with_suffix(".npy"), np.asarray(theta).argmax(axis=1))
    out.with_suffix(".json").write_text(json.dumps({**readings, "top_words": top_words}))


def compare_sides(
    runs: Mapping[str, Callable[[], dict[str, Any]]],
    rounds: int,
    scores: Mapping[str, Callable[[np.ndarray], float]],
    *,
    min_speedup: float,
    max_memory: float,
    max_loss_difference: float,
) -> int:
    """Run both sides in turn, print every report, then the medians and bars; return 1 when a bar is missed.

    runs: the peer, then topiclab.  scores: of the documents' largest topics (D,), for information.
    """
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    titles = "".join(f"{title:>8}" for title in scores)
    print(f"{'side':<10}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'final loss':>12}{titles}", flush=True)
    for _ in range(rounds):
        for name, run in runs.items():
            report = run()
            reports[name].append(report)
            values = "".join(f"{score(report['assignment']):8.3f}" for score in scores.values())
            print(
                f"{name:<10}{report['cpu_seconds']:8.2f}{report['wall_seconds']:8.1f}{report['peak_mb']:9.0f}"
                f"{report['final_loss']:12.4f}{values}",
                flush=True,
            )
    theirs, ours = (
        {
            key: median(report[key] for report in reports[side])
            for key in ("cpu_seconds", "peak_mb", "final_loss")
        }
        for side in runs
    )
    speedup, memory = theirs["cpu_seconds"] / ours["cpu_seconds"], ours["peak_mb"] / theirs["peak_mb"]
    difference = abs(ours["final_loss"] / theirs["final_loss"] - 1)
    peer = next(iter(runs))
    print(f"CPU seconds: {speedup:.2f}x fewer (at least {min_speedup})")
    print(f"peak memory over the base process: {memory:.2f} of {peer}'s (at most {max_memory})")
    print(f"final training loss: differs by {difference:.2%} (at most {max_loss_difference:.0%})")
    return int(not (speedup >= min_speedup and memory <= max_memory and difference <= max_loss_difference))
