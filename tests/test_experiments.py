"""Every file in experiments/ can start: all its cells compose, and one of them runs in small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from topiclab.config import compose
from topiclab.report.plan import planned_cells

REPO = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted((REPO / "experiments").glob("*.yaml"))
TINY = ["data=synthetic", "embedder=lsa", "num_topics=5", "trainer.max_epochs=1", "seed=0"]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_cell_composes(path: Path) -> None:
    cells = planned_cells(path)
    assert len(cells) > 1
    for group in {key for cell in cells for key in cell}:
        for value in {cell[group] for cell in cells}:  # each option once: cells are their product
            assert compose([f"{group}={value}"])


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_a_tiny_cell_runs(path: Path, tmp_path: Path) -> None:
    first = {
        key: value
        for key, value in planned_cells(path)[0].items()
        if key not in ("data", "num_topics", "seed")
    }
    command = [sys.executable, "-m", "topiclab", "-cd", str(path.parent), "-cn", path.stem]
    overrides = [*(f"{key}={value}" for key, value in first.items()), *TINY]
    places = [f"paths.outputs={tmp_path}/outputs", f"paths.cache={tmp_path}/cache"]
    finished = subprocess.run(
        [*command, *overrides, *places], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert len(list(tmp_path.glob(f"outputs/{path.stem}/**/result.json"))) == 1
