"""Stability in the report: topics of every pair of seeds, matched."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from topiclab.report.__main__ import main
from topiclab.result import TopicResult


def write_cell(outputs: Path, model: str, seed: int, order: list[int]) -> None:
    folder = outputs / f"grid/lee/{model}/lsa-zero_shot/bow/K3/seed{seed}"
    folder.mkdir(parents=True)
    result = {"status": "done", "metrics": {"npmi": 0.1}, "reasons": {}, "seconds_total": 1.5}
    (folder / "result.json").write_text(json.dumps(result))
    beta = np.eye(4, dtype=np.float32)[order]
    TopicResult(np.full((2, 3), 1 / 3, np.float32), beta, ("a", "b", "c", "d")).save(folder / "topics.npz")


def test_topics_of_seeds_are_matched_and_a_single_seed_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, order in enumerate(([0, 1, 2], [2, 0, 1], [0, 1, 3])):
        write_cell(tmp_path, "theta", seed, order)
    write_cell(tmp_path, "lda", 0, [0, 1, 2])
    line = ["grid", "--outputs", str(tmp_path), "--metrics", "npmi", "stability", "--format", "csv"]
    assert main(line) == 0
    told = capsys.readouterr()
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(told.out))}
    assert float(rows["theta"]["stability"]) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert float(rows["theta"]["stability_std"]) > 0
    assert "stability of lda on lee: only one seed is done" in told.err
