"""A cell gives the same numbers alone and as one of many in a process, with equal threads."""

import json
import os
import subprocess
import sys

import pytest
from places import REPO
from small_cells import CORPUS, check_same_topics
from threadpoolctl import threadpool_limits

from topiclab.runs.run import run_cell
from topiclab.runs.worker import THREAD_VARIABLES

TRAINED, CLASSICAL = ("theta", "prodlda"), ("lda", "nmf", "kmeans")
MODELS = TRAINED + CLASSICAL
FIXED = [*CORPUS, "num_topics=2", "trainer.device=cpu"]
FEW_EPOCHS = "trainer.max_epochs=2"


def topiclab(folder, *line):
    command = [sys.executable, "-m", "topiclab", *line, *FIXED]
    environment = os.environ | {"PYTHONPATH": str(REPO)} | dict.fromkeys(THREAD_VARIABLES, "1")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run_of(folder, model):
    """Return the run folder of the model's last cell, and its result."""
    (path,) = folder.glob(f"outputs/default/synthetic/{model}/**/*planted.seed=1*/seed1/result.json")
    return path.parent, json.loads(path.read_text())


def losses(folder):
    path = folder / "training_history.json"
    return path.read_text() if path.exists() else None


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Folder in which two workers have run all models on two corpora with two seeds."""
    folder = tmp_path_factory.mktemp("grid")
    for models, options in ((TRAINED, [FEW_EPOCHS]), (CLASSICAL, [])):
        varied = [f"model={','.join(models)}", "data.planted.seed=0,1", "seed=0,1"]
        topiclab(folder, "-m", "grid.jobs=2", *varied, *options)
    return folder


def check_same_run(folder, result, other, other_result):
    check_same_topics(folder, other)
    assert result["metrics"] == other_result["metrics"]
    assert result["reasons"] == other_result["reasons"]
    assert losses(folder) == losses(other)


@pytest.mark.parametrize("model", MODELS)
def test_cell_of_a_worker_equals_the_cell_in_another_process(grid, tmp_path, model):
    folder, result = run_of(grid, model)
    cfg = result["config"] | {"paths": result["config"]["paths"] | {"cache": str(tmp_path / "cache")}}
    with threadpool_limits(1):
        again = run_cell(cfg, tmp_path / "run")
    check_same_run(folder, result, tmp_path / "run", again)


def test_cell_of_a_worker_equals_the_line_that_runs_it_alone(grid, tmp_path):
    topiclab(tmp_path, "model=prodlda", "data.planted.seed=1", "seed=1", FEW_EPOCHS)
    check_same_run(*run_of(grid, "prodlda"), *run_of(tmp_path, "prodlda"))
