"""Sides: the processes a benchmark sets against each other, one thread each, started in turn."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
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

    Returns what it reported, `assignment` (D,) and any `top_words` included. Raises RuntimeError with the end
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
    """Write what a side measured: numbers, each document's largest topic, and ids of each topic's words."""
    np.save(out.with_suffix(".npy"), np.asarray(theta).argmax(axis=1))
    out.with_suffix(".json").write_text(json.dumps({**readings, "top_words": top_words}))
