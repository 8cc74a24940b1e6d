"""Sweeps by other launchers than ours: joblib, submitit and Ray; cells that fail, and a real corpus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from made_settings import trainer
from omegaconf import OmegaConf
from places import PYTHONPATH

from topiclab.config.compose import ConfigError, conf_dir
from topiclab.data.sources.file import read_documents
from topiclab.embed.embedder import embed_texts
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.runs.ray_launcher import RayLauncher

NUM_TEXTS = 4_100  # three shards


def needs(package: str, extra: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is missing: topiclab[{extra}]")


needs_joblib = needs("hydra_plugins.hydra_joblib_launcher", "parallel")
needs_submitit = needs("hydra_plugins.hydra_submitit_launcher", "slurm")
needs_ray = needs("ray", "ray")
JOBLIB = pytest.param(["joblib", "hydra.launcher.n_jobs=2"], marks=needs_joblib, id="joblib")
SUBMITIT = pytest.param(
    ["submitit_local", "hydra.launcher.timeout_min=5"], marks=needs_submitit, id="submitit"
)
RAY = pytest.param(["ray"], marks=needs_ray, id="ray")


def sweep(folder: Path, *line: str) -> tuple[int, str, str]:
    """Run `python -m topiclab -m` with its own home; return exit code, output and errors."""
    environment = os.environ | {
        "PYTHONPATH": PYTHONPATH,
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "topiclab", *line, "-m"]
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    return ran.returncode, ran.stdout, ran.stderr


def results(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((folder / "outputs").rglob("result.json"))]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [SUBMITIT, RAY])
def test_cells_run_and_one_that_fails_takes_no_other_along(tmp_path: Path, launcher: list[str]) -> None:
    name, *options = launcher
    dies = ["9"] if name == "ray" else []  # submitit leaves that cell without a result
    numbers = ",".join(["5", *dies, "13", "6"])
    line = (f"num_topics={numbers}", "task._target_=cells.fit", f"hydra/launcher={name}", *options)
    code, out, err = sweep(tmp_path, *line)
    assert code == 1, err
    assert out.splitlines()[-1] == ("2 done, 2 failed" if dies else "2 done, 1 failed")
    assert "ValueError: num_topics=13 brings bad luck" in out
    assert ("WorkerCrashedError" in out) == bool(dies)
    done = [result for result in results(tmp_path) if result["status"] == "done"]
    assert [result["manifest"]["cwd"] for result in done] == [str(tmp_path)] * 2
    assert not (tmp_path / ".ray").exists()
    code, out, _ = sweep(tmp_path, "num_topics=5,6", *line[1:])
    assert code == 0
    assert out.splitlines()[-1] == "2 reused"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [JOBLIB, RAY])
def test_two_processes_share_a_corpus(
    tmp_path: Path, tiny_qwen: Path, launcher: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts by two processes, joined without loading the model, equal those of one process bit for bit."""
    rows = "\n".join(f"document {number} about topic {number % 7}" for number in range(NUM_TEXTS))
    (tmp_path / "texts.csv").write_text(f"text\n{rows}\n")
    data = ("data=file", "data.path=texts.csv", "data.name=texts")
    model = ("embedder=minilm", f"embedder.path={tiny_qwen}", "embedder.pooling=lasttoken")
    base = ("task=embed", *data, *model, "trainer.device=cpu", "trainer.precision=fp32")
    name, *options = launcher
    parts = ("embed.part=0,1", "embed.num_parts=2", f"hydra/launcher={name}", *options)
    code, out, err = sweep(tmp_path, *base, *parts)
    assert code == 0, out + err
    metrics = [result["metrics"] for result in results(tmp_path)]
    assert sorted(metric["num_encoded"] for metric in metrics) == [2_048, 2_052]
    (shards,) = (tmp_path / "cache/embedding_shards").iterdir()
    assert len([path for path in shards.iterdir() if path.is_dir()]) == 3
    options_of_model = {
        "_target_": "topiclab.embed.huggingface.HuggingFaceEmbedder",
        **{"path": str(tiny_qwen), "pooling": "lasttoken", "normalize": True},
    }
    texts = [document.text for document in read_documents(tmp_path / "texts.csv", "text")]
    alone = embed_texts(options_of_model, texts, tmp_path / "alone", trainer())
    monkeypatch.setattr(HuggingFaceEmbedder, "encode_full", None)  # joining needs no model
    joined = embed_texts(options_of_model, texts, tmp_path / "cache", trainer())
    assert joined.key == alone.key
    np.testing.assert_allclose(joined.vectors, alone.vectors, atol=1e-5)  # with other numbers of threads
    assert list((tmp_path / "cache/embedding_shards").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("submitit_slurm", marks=needs_submitit),
        pytest.param("submitit_local", marks=needs_submitit),
        pytest.param("joblib", marks=needs_joblib),
        "ray",
    ],
)
def test_launchers_compose(name: str) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = compose("config", overrides=[f"hydra/launcher={name}"], return_hydra_config=True)
    launcher = OmegaConf.to_container(composed.hydra.launcher, resolve=False)
    assert isinstance(launcher, dict)
    assert launcher["_target_"].endswith("Launcher")


def test_ray_is_not_asked_for_what_this_machine_lacks(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise its tasks would wait for ever."""
    there = {"CPU": 4.0, "memory": 1e9}
    assert RayLauncher(None, 2, 2, 0)._jobs(there) == 2
    assert RayLauncher(None, 3, 0, 0)._jobs(there) == 3
    with pytest.raises(ConfigError, match=r"num_gpus=0.5, but Ray has 0 on this machine.*ask for fewer"):
        RayLauncher(None, 2, 1, 0.5)._jobs(there)
    assert RayLauncher("auto", 2, 1, 1)._jobs(there) == 1
    assert "cells wait until a machine with as many joins" in caplog.text


def test_ray_that_is_absent_is_told(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfound = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'ray' else found(name, *rest)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PYTHONPATH}"}
    command = [sys.executable, "-m", "topiclab", "task._target_=cells.fit", "-m", "hydra/launcher=ray"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "pip install 'topiclab[ray]'" in ran.stderr
