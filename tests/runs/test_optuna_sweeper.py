"""hydra/sweeper=optuna: trials by optimized_metric, of which one may fail; and metrics without a value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from places import PYTHONPATH

from topiclab.config.compose import ConfigError, compose
from topiclab.config.identity import changed_keys
from topiclab.runs import optuna_sweeper
from topiclab.runs.run import CellFailed, returned

LINE = ["hydra/sweeper=optuna", "task._target_=cells.fit", "hydra/sweeper/sampler=random", "-m"]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a study of tasks that need no torch."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)

    def run(*line: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "topiclab", *LINE, *line]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_trials_go_on_after_one_that_fails(sweep, tmp_path: Path) -> None:
    done = sweep("optimized_metric=npmi", "num_topics=choice(13,14)", "hydra.sweeper.n_trials=8")
    assert done.returncode == 0, done.stderr
    assert "Failed experiment: ValueError: num_topics=13 brings bad luck" in done.stdout
    best = yaml.safe_load((tmp_path / "outputs/default/optimization_results.yaml").read_text())
    assert best["best_value"] == 0.25
    assert best["best_params"]["num_topics"] == 14


def test_a_study_without_any_value_names_the_reason(sweep) -> None:
    done = sweep("optimized_metric=td", "num_topics=range(3,5)", "hydra.sweeper.n_trials=2")
    assert done.returncode == 1
    assert done.stdout.count("Failed experiment: optimized_metric=td has no value: the value is nan") == 2
    assert "no trial has a value of optimized_metric" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cell_returns_its_result_or_the_metric() -> None:
    result = {"status": "done", "metrics": {"npmi": 0.5, "val/ce": None}, "reasons": {"val/ce": "no text"}}
    assert returned(None, result) is result  # type: ignore[arg-type]
    for name in ("npmi", "train/npmi", "topics/npmi"):
        assert returned(name, result) == 0.5  # type: ignore[arg-type]
    for name, told in (("val/ce", "no text"), ("val/x", "no such metric; there are npmi val/ce")):
        with pytest.raises(CellFailed, match=told):
            returned(name, result)  # type: ignore[arg-type]


def test_an_unknown_metric_is_refused_and_a_known_one_tells_no_cells_apart() -> None:
    for line, told in (
        ("optimized_metric=npmj", "no such metric; did you mean npmi"),
        ("optimized_metric=sample_nmi", "no such metric"),  # of images
        ("task=embed optimized_metric=npmi", "task=embed measures nothing"),
    ):
        with pytest.raises(ConfigError, match=told):
            compose(line.split())
    assert compose(["model=tvqvae_image", "data=digits", "optimized_metric=sample_nmi"])
    assert changed_keys(compose(), compose(["optimized_metric=train/npmi"])) == []


def test_the_plugin_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_sweeper, "PLUGIN", "no_such_plugin")
    with pytest.raises(ConfigError, match=r"pip install 'topiclab\[optuna\]'"):
        optuna_sweeper.set_defaults(["-m", "hydra/sweeper=optuna"])
    optuna_sweeper.set_defaults(["-m"])
