"""W&B sweeps: the lines that an agent would start are valid topiclab lines, and one of them runs."""

from __future__ import annotations

import itertools
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from places import REPO
from wandb import wandb_agent
from wandb_folder import read_run

from topiclab.config.checks import metric_names
from topiclab.config.compose import compose
from topiclab.runs.run import run_cell

SWEEPS = sorted((REPO / "experiments").glob("*/*.sweep.yaml"))
TINY = ["data=synthetic", "embedder=lsa", "num_topics=5", "trainer.max_epochs=2", "logger.mode=offline"]


def agent_lines(sweep: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Lines that W&B's own agent code would start for all of a grid sweep, without its server.

    A range stands for its two ends.
    """
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
        key: chosen.get("values") or [chosen[end] for end in ("value", "min", "max") if end in chosen]
        for key, chosen in sweep["parameters"].items()
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


@pytest.mark.parametrize("path", SWEEPS[:1], ids=lambda path: path.stem)  # the others differ in values only
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
    (name,) = [name for name in metric_names(sweep["metric"]["name"]) if name in result["metrics"]]
    assert result["metrics"][name] is not None
    (run,) = path.parent.glob("wandb/offline-run-*")
    assert run.name.endswith("-run0")  # the id is from the agent


def shown_keys(spec: Any) -> set[str]:
    """Keys of runs that the panels of a dashboard name, in W&B's spelling."""
    named = ("accessor", "xAxis", "yAxis", "groupBy", "targetKey", "metrics", "mediaKeys")
    if isinstance(spec, list):
        return set().union(*map(shown_keys, spec))
    if not isinstance(spec, dict):
        return set()
    found = set().union(*map(shown_keys, spec.values()))
    for name in named:
        given = spec.get(name, [])
        found |= {key for key in ([given] if isinstance(given, str) else given) if isinstance(key, str)}
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb-workspaces, at import
def test_every_panel_of_the_dashboard_shows_what_runs_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    line = [
        "mode=supervised",
        "logger=wandb",
        "model.encoder.hidden_dims=[16]",
        f"paths.cache={tmp_path}/cache",
    ]
    run_cell(compose([*TINY, *line]), tmp_path / "run")
    run = read_run(tmp_path / "run")
    logged = {key for row in run["history"] for key in row} | run["summary"].keys()
    logged |= {f"{name}.value" for name in run["config"]}
    logged |= {
        f"{group}.value.{key}"
        for group, keys in run["config"].items()
        if isinstance(keys, dict)
        for key in keys
    }

    runpy.run_path(str(REPO / "experiments/sweeps/dashboard.py"))["main"](
        ["--out", str(tmp_path / "made.json")]
    )
    made = json.loads((tmp_path / "made.json").read_text())["spec"]["section"]
    panels = [
        panel["config"] for section in made["panelBankConfig"]["sections"] for panel in section["panels"]
    ]
    shown = {
        key.removeprefix("summary:").removeprefix("config:").removeprefix("summary_metrics.")
        for key in shown_keys(panels)
    }
    assert {"num_topics.value", "embedder.value.name", "topics/npmi", "val/loss", "documents/map"} <= shown
    assert shown <= logged
    assert '"topics/table"' in json.dumps(panels)
    assert "topics/table" in logged
    (chosen,) = made["runSets"][0]["filters"]["filters"]
    assert (chosen["key"]["name"], chosen["value"]) == ("group", "sweeps_grid")
    assert run["run"].run_group
