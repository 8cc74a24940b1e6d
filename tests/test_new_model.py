"""A model is one file of Python and one of yaml: both are added to a copy, and nothing else is edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import REPO

MODEL = '''\
"""Toy: clusters of scikit-learn, softened."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.cluster import KMeans as SklearnKMeans

from topiclab.data.datamodule import TopicDataModule
from topiclab.limits import Positive
from topiclab.models.base.classical_model import ClassicalModel


class Toy(ClassicalModel):
    """Topics are clusters of the vectors.  evenness: the higher, the more alike are the proportions."""

    arrays = ("centres", "word_counts")

    def __init__(self, *, evenness: Positive, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.evenness = evenness

    def _fit(self, datamodule: TopicDataModule) -> None:
        vectors = np.asarray(datamodule.train_embeddings, np.float64)
        found: Any = SklearnKMeans(self.num_topics, n_init=3, random_state=self.seed).fit(vectors)
        members = np.eye(self.num_topics)[found.labels_]
        self.centres = found.cluster_centers_
        self.word_counts = np.asarray(datamodule.train_bow.T @ members).T + 0.01

    def transform(self, bow: Any, embeddings: Any) -> np.ndarray:
        gaps = np.asarray(embeddings, np.float64)[:, None] - self.centres
        return softmax(-np.square(gaps).sum(2) / self.evenness, axis=1).astype(np.float32)

    def _beta(self) -> np.ndarray:
        return self.word_counts / self.word_counts.sum(axis=1, keepdims=True)
'''
YAML = """\
# Clusters of scikit-learn, softened.
name: toy
_target_: topiclab.models.toy.Toy
_partial_: true
_convert_: all
uses: [vectors]
evenness: 0.1 # of the proportions
"""
CONTRACT = ["models/test_every_model.py", "config", "test_bad_input.py"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with model=toy."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("topiclab", "conf", "tests", "experiments", "notebooks", "benchmarks"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "Makefile", "pyproject.toml"):
        shutil.copy(REPO / name, folder / name)
    (folder / "topiclab/models/toy.py").write_text(MODEL, encoding="utf-8")
    (folder / "conf/model/toy.yaml").write_text(YAML, encoding="utf-8")
    return folder


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def test_a_line_fits_it(copy: Path) -> None:
    small = ["data=synthetic", "num_topics=5", "embedder.dim=16", "paths.cache=cache"]
    fitted = run(copy, "topiclab", "model=toy", *small, "hydra.run.dir=run")
    assert fitted.returncode == 0, fitted.stderr
    assert len((copy / "run/topics.txt").read_text(encoding="utf-8").splitlines()) >= 5
    assert '"status": "done"' in (copy / "run/result.json").read_text(encoding="utf-8")


def test_a_bad_value_of_its_own_key_is_refused_by_name(copy: Path) -> None:
    refused = run(copy, "topiclab", "model=toy", "model.evenness=-1")
    assert refused.returncode != 0
    assert "model.evenness=-1 is refused: give a number above 0" in refused.stdout + refused.stderr


def test_help_lists_it(copy: Path) -> None:
    told = run(copy, "topiclab", "--help").stdout
    (models,) = (line for line in told.splitlines() if line.startswith("  model: "))
    assert "toy" in models.removeprefix("  model: ").split(", ")


def test_the_tests_of_every_model_hold_for_it(copy: Path) -> None:
    paths = [f"tests/{name}" for name in CONTRACT]
    tested = run(copy, "pytest", *paths, "-k", "toy", "-vv", "-rN", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    for name in ("planted_topics_are_recovered[model=toy]", "keys_of_a_model_are_ruled", "binds", "handful"):
        assert any(name in line and "PASSED" in line for line in tested.stdout.splitlines()), name


def test_its_place_is_one_of_the_layout(copy: Path) -> None:
    tested = run(copy, "pytest", "tests/test_architecture.py", "tests/test_readme.py", "-k", "not notebook")
    assert tested.returncode == 0, tested.stdout + tested.stderr
