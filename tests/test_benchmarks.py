"""Benchmarks for machines that are not available must still start."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from places import REPO

BENCHMARKS = REPO / "benchmarks"
SCRIPT = BENCHMARKS / "gpu_dsl.py"


@pytest.fixture
def gpu_dsl(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_dsl", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_dsl", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("gpu_dsl.py", ["stack 4", "4075 fits"]),
        ("gpu_tvqvae.py", ["1     bf16", "2     bf16", "draw  bf16", "100 epochs of 45000 images"]),
    ],
)
def test_gpu_benchmarks_run_on_a_cpu(script, said):
    command = [sys.executable, str(BENCHMARKS / script), "--device", "cpu", "--steps", "3", "--small"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert f"torch {torch.__version__}" in ran.stdout
    for line in said:
        assert line in ran.stdout


def test_encoders_are_measured_on_a_cpu():
    command = [sys.executable, str(BENCHMARKS / "gpu_embed.py"), "--device", "cpu", "--tiny"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines()]
    ways = {(row[0], *row[1:4]) for row in rows if row[1:2] in (["full"], ["abstracts"])}
    for name in ("e5-large", "qwen3-0.6b"):
        for kind in ("full", "abstracts"):
            assert {(name, kind, "eager", "products"), (name, kind, "sdpa", "flash")} <= ways
            assert (name, kind, "unpadded", "flash") in ways
    distances = [float(line.split()[-2]) for line in ran.stdout.splitlines() if "differ by" in line]
    assert len(distances) == 2
    assert max(distances) < 1e-3


def test_the_language_model_is_measured_on_a_cpu():
    """The parts of topiclab that it imports need no more than a bare machine has."""
    code = (
        "import runpy, sys; sys.argv[1:] = ['--device', 'cpu', '--tiny']\n"
        f"try: runpy.run_path({str(BENCHMARKS / 'gpu_minillm.py')!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "print('loaded', *{name.partition('.')[0] for name in sys.modules})"
    )
    places = os.pathsep.join([str(BENCHMARKS), str(REPO)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": places}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines()]
    sides = [row for row in rows if row[:1] in (["ours"], ["transformers"]) and row[1] != "/"]
    assert {row[0]: row[2] for row in sides} == {"ours": "flash", "transformers": "flash"}
    (difference,) = (float(row[-1]) for row in rows if row[:1] == ["losses"])
    assert difference < 1e-3
    assert [row[0] for row in rows[-3:-1]] == ["1", "2"]  # batch sizes of decoding
    assert {"hydra", "omegaconf", "lightning", "pyarrow", "tokenizers"} & set(rows[-1]) == {"tokenizers"}


def test_stacked_fits_are_the_single_ones(gpu_dsl, monkeypatch):
    """Padding to the largest K and training side by side change no fit, noise (which they share) apart."""
    monkeypatch.setattr(gpu_dsl, "DROPOUT", 0.0)
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: torch.zeros(*shape))
    size = gpu_dsl.Size(40, 30, 8, 6)
    documents = gpu_dsl.make_documents(size, torch.device("cpu"))
    topics = (3, 5)
    stack = gpu_dsl.Fits(documents, size, topics, 0)
    for number, count in enumerate(topics):
        single = gpu_dsl.Fits(documents, size, (count,), 1)
        for name, parameter in single.parameters.items():
            own = stack.parameters[name].detach()[number : number + 1]
            if name.startswith("heads"):
                own = torch.cat([half[..., :count] for half in own.chunk(2, dim=2)], dim=2)
            parameter.data.copy_(own[..., : parameter.shape[1], : parameter.shape[2]])
        single.order.copy_(stack.order[:, number : number + 1])
        singles = [single.step() or single.loss.item() for _ in range(4)]
        alike = gpu_dsl.Fits(documents, size, topics, 0)
        alike.order.copy_(stack.order)
        stacked = [alike.step() or alike.loss[number].item() for _ in range(4)]
        assert stacked == pytest.approx(singles, rel=1e-4)
        assert singles[-1] < singles[0]


def test_flipped_bits_are_noticed_in_every_kind_of_file():
    command = [sys.executable, str(BENCHMARKS / "flips.py"), "--small"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("18 of 18 flips noticed, 0 changed a result\n")
