"""The README is correct: its targets exist, its lines compose, and the options in its tables exist."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import runpy
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from places import REPO

from topiclab.config.compose import compose
from topiclab.metrics.evaluate import IMAGE_METRICS, METRICS
from topiclab.report.__main__ import parser_of_arguments
from topiclab.report.tables.places import grid_files, table_files
from topiclab.report.tables.plan import planned_cells, read_table

GRIDS = grid_files(REPO / "experiments")
README = (REPO / "README.md").read_text(encoding="utf-8")
SHELL = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
CELLS = [line.removeprefix("python -m topiclab ") for line in SHELL if line.startswith("python -m topiclab ")]


def combinations(line: str) -> list[list[str]]:
    """List the overrides of every cell of a line."""
    words = [word for word in shlex.split(line) if word != "-m"]
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [override.input_line or ""]
        for override in OverridesParser.create().parse_overrides(words)
    ]
    return [list(cell) for cell in itertools.product(*choices)]


def test_make_targets_exist() -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z_-]+)`|^make ([a-z_-]+)", README, re.MULTILINE))
    targets = {target for pair in named for target in pair if target}
    assert {"demo", "test", "setup", "foundation", "smoke", "bench-coherence"} <= targets
    for target in targets:
        is_benchmark = (REPO / f"benchmarks/{target.removeprefix('bench-')}.py").exists()
        is_experiment = target.replace("-", "_") in GRIDS | table_files(REPO / "experiments")
        assert is_benchmark or is_experiment or f"\n{target}:" in makefile, f"make {target}"


@pytest.mark.parametrize("line", CELLS)
def test_lines_compose(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("posts.csv", "new.csv"):
        (tmp_path / name).write_text("text,topic\nhello,a\n")
    for run in re.findall(r"run=(\S+)", line):
        (tmp_path / run / "export").mkdir(parents=True)  # for a language model
        for name in ("result.json", "export/config.json"):
            (tmp_path / run / name).write_text("{}")
    for picture in re.findall(r"reference=(\S+)", line):
        (tmp_path / picture).touch()
    cells = combinations(line)
    assert compose(cells[0])
    assert compose(cells[-1])


def test_report_line_parses() -> None:
    lines = [line for line in SHELL if line.startswith("python -m topiclab.report ")]
    assert lines
    for line in lines:
        assert isinstance(parser_of_arguments().parse_args(shlex.split(line)[3:]), argparse.Namespace)


def test_numbers_of_cells_are_those_of_the_grids() -> None:
    said = re.findall(r"^make (\S+) +#.* (\d+) cells", README, re.MULTILINE)
    assert len(said) == 8
    for target, number in said:
        grids = read_table(REPO / "experiments", target.replace("-", "_")).grids
        planned = [planned_cells(GRIDS[grid]) for grid in grids]
        assert sum(map(len, planned)) == int(number), target


def test_options_of_the_group_table_exist() -> None:
    rows = re.findall(r"^\| `(\w+)=` \| (.+?) \| `(\w+)` \|$", README, re.MULTILINE)
    assert len(rows) == 10
    assert "`python -m topiclab --help` lists every option" in README
    defaults = compose()
    for group, options, default in rows:
        files = {path.stem for path in (REPO / "conf" / group).glob("[!_]*.yaml")}
        named = set(re.findall(r"`([\w.]+)`", options))
        assert default in named <= files, group
        assert defaults[group].get("name", "default") == default


def test_every_metric_is_named() -> None:
    for metric in (*METRICS, *IMAGE_METRICS):
        assert f"`{metric.split('/')[-1]}`" in README, metric


def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "TOPICLAB_RUN", str(tmp_path / "run"))
    runpy.run_path(str(REPO / "notebooks" / "quickstart.py"))
    printed = capsys.readouterr().out
    assert "300 documents" in printed
    assert "main topic: " in printed
