"""W&B sweeps: the lines that an agent would start are valid topiclab lines, and one of them runs."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import REPO
from wandb import wandb_agent

from topiclab.config.compose import compose

SWEEPS = sorted((REPO / "experiments").glob("*/*.sweep.yaml"))
TINY = ["data=synthetic", "embedder=lsa", "num_topics=5", "trainer.max_epochs=2", "logger.mode=offline"]


def agent_lines(sweep: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Lines that W&B's own agent code would start for all of a grid sweep, without its server."""
    started: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **_: Any) -> None:
            started.append(command)

    monkeypatch.chdir(folder)
    monkeypatch.setattr(wandb_agent, "AgentProcess", Process)
    for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, "test")
    agent = object.__new__(wandb_agent.Agent)
    agent._sweep_command, agent._function, agent._in_jupyter = sweep["command"], None, False
    agent._forward_signals, agent._run_processes = False, {}
    parameters = {
        key: chosen.get("values", [chosen.get("value")]) for key, chosen in sweep["parameters"].items()
    }
    for number, values in enumerate(itertools.product(*parameters.values())):
        arguments = {key: {"value": value} for key, value in zip(parameters, values, strict=True)}
        agent._command_run({"args": arguments, "run_id": f"run{number}", "program": sweep["program"]})
    return started


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_line_of_a_sweep_composes(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = yaml.safe_load(path.read_text())
    lines = agent_lines(sweep, tmp_path, monkeypatch)
    assert (REPO / sweep["program"]).is_file()
    assert len({tuple(line) for line in lines}) == len(lines) > 1
    for line in {tuple(lines[0]), tuple(lines[-1])}:
        assert list(line[:4]) == ["/usr/bin/env", "python", "-m", "topiclab"]
        cfg = compose(line[4:])
        assert cfg["logger"]["name"] == "wandb"
        assert cfg["name"] == f"{path.parent.name}_{path.name.partition('.')[0]}"


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_line_of_a_sweep_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = yaml.safe_load(path.read_text())
    line = agent_lines(sweep, tmp_path, monkeypatch)[0]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPO),
        "WANDB_SILENT": "true",
        "WANDB_RUN_ID": "run0",
        "WANDB_SWEEP_PARAM_PATH": "wandb/sweep-test/config-run0.yaml",
    }
    finished = subprocess.run(
        [*line, *TINY], env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert finished.returncode == 0, finished.stderr
    (path,) = tmp_path.glob("outputs/**/result.json")
    result = json.loads(path.read_text())
    assert result["status"] == "done"
    assert sweep["metric"]["name"].removeprefix("topics/") in result["metrics"]
    (run,) = path.parent.glob("wandb/offline-run-*")
    assert run.name.endswith("-run0")  # the id is from the agent
