"""Every file in experiments/ can start: its options compose, and small versions of its cells run."""

from __future__ import annotations

import csv
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from places import REPO
from tiny_lm import save_lm

from topiclab.config.checks import validate
from topiclab.config.compose import compose, conf_dir, to_plain
from topiclab.config.declared import uses
from topiclab.metrics.evaluate import METRICS
from topiclab.report.__main__ import main as report
from topiclab.report.tables.places import config_name, grid_files, table_files
from topiclab.report.tables.plan import AXES, planned_axes, planned_cells, read_table
from topiclab.report.tables.reference import read_reference
from topiclab.runs.run import run_cell

EXPERIMENTS = REPO / "experiments"
README = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
GRIDS = grid_files(EXPERIMENTS)
TABLES = table_files(EXPERIMENTS)
MODELS = sorted(path for path in EXPERIMENTS.glob("model/**/[!_]*.yaml"))
TINY = [
    "data=synthetic",
    "data.planted.num_docs=60",
    "data.planted.words_per_topic=8",
    "data.planted.doc_length=12",
    "embedder=lsa",
    "num_topics=5",
    "trainer.device=cpu",
    "trainer.precision=fp32",
    "seed=0",
]
TINY_IMAGES = [
    "data=digits",
    "data.sample=100",
    "embedder=lsa",
    "num_topics=3",
    "seed=0",
    "trainer.max_epochs=1",
    "trainer.device=cpu",
    "model.num_codes=16",
    "model.codebook.code_dim=8",
    "model.codebook.width=8",
    "model.codebook.block_dim=8",
    "model.codebook.num_downsamples=1",
    "model.prior.width=8",
    "model.prior.num_layers=2",
    "model.sample.num_per_topic=2",
    "model.sample.num_references=2",
    "model.sample.num_per_reference=2",
]
IMAGES = {
    path.stem
    for path in (conf_dir() / "data").glob("[!_]*.yaml")
    if "[_images" in path.read_text(encoding="utf-8")
}
SWEPT_BY_TINY = ("data", "num_topics", "seed")
HYDRA_GROUPS = ("model", "objective", "recipe")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_lm(tmp_path_factory.mktemp("tiny_lm"))


def compose_grid(name: str, overrides: list[str]) -> dict[str, Any]:
    """Compose what `python -m topiclab -cd experiments -cn <system>/<grid> <overrides>` runs, or raise."""
    with hydra.initialize_config_dir(str(EXPERIMENTS), version_base="1.3", job_name="topiclab"):
        searched = f"hydra.searchpath=[file://{conf_dir()}]"
        cfg = to_plain(hydra.compose(config_name(EXPERIMENTS, name), overrides=[searched, *overrides]))
    assert validate(cfg) == []
    return cfg


def place_of(path: Path) -> str:
    """Return dsl/main for dsl/main.yaml and dsl/main.table.yaml."""
    return f"{path.parent.name}/{path.name.partition('.')[0]}"


def overrides_of(cell: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in cell.items()]


def new_options() -> dict[str, dict[str, list[str]]]:
    """Options of each grid that no earlier file has: group choices, and first and last of other values."""
    seen: set[tuple[str, str]] = set()
    found: dict[str, dict[str, list[str]]] = {}
    for name, path in GRIDS.items():
        cells = planned_cells(path)
        choices = {key: list(dict.fromkeys(cell[key] for cell in cells)) for key in cells[0]}
        choices |= {key: [all_[0], all_[-1]] for key, all_ in choices.items() if key not in AXES}
        found[name] = {
            key: [value for value in values if (key, value) not in seen] for key, values in choices.items()
        }
        seen |= {(key, value) for key, values in choices.items() for value in values}
    return found


def few_cells(name: str) -> list[dict[str, str]]:
    """Cells of the grid that together cover all its new options; at least one."""
    first, options = planned_cells(GRIDS[name])[0], NEW_OPTIONS[name]
    most = max(1, *map(len, options.values()))
    return [
        {key: (options[key] or [value])[number % max(1, len(options[key]))] for key, value in first.items()}
        for number in range(most)
    ]


NEW_OPTIONS = new_options()


def run_tiny(name: str, cell: dict[str, str], folder: Path, cache: Path, tiny_lm: Path) -> dict[str, Any]:
    """Run the cell for one epoch on a few planted documents, with a random language model."""
    overrides = overrides_of({key: value for key, value in cell.items() if key not in SWEPT_BY_TINY})
    has_images = planned_axes(GRIDS[name], cell)["data"] in IMAGES
    cfg = compose_grid(name, [*overrides, *(TINY_IMAGES if has_images else TINY), f"paths.cache={cache}"])
    if "epochs" in uses(cfg["model"]):
        cfg["trainer"]["max_epochs"] = 1
    if "codebook" in cfg["model"] and not has_images:
        cfg["model"]["num_codes"] = 10  # for 40 words
    if "multi_token" in cfg["teacher"]:
        cfg["teacher"] |= {"path": str(tiny_lm), "multi_token": "exact"}  # planted words are no tokens
    return run_cell(cfg, folder)


@pytest.mark.parametrize("name", GRIDS)
def test_every_option_composes(name: str) -> None:
    assert len(planned_cells(GRIDS[name])) > 1
    for cell in few_cells(name):
        cfg = compose_grid(name, overrides_of(cell))
        axes = planned_axes(GRIDS[name], cell)
        assert cfg["name"] == axes["experiment"] == name
        for group in ("data", "model", "embedder", "mode", "objective", "teacher"):
            assert cfg[group]["name"] == axes[group]  # the report's name of a missing cell
        assert cfg["num_topics"] == axes["num_topics"]


def test_the_recipe_of_a_gpu_composes() -> None:
    """Composes as in its header and the README, `-cd experiments +recipe=minillm_26m`, and with Muon."""
    line = [f"hydra.searchpath=[file://{EXPERIMENTS}]", "+recipe=minillm_26m"]
    cfg, muon = compose(line), compose([*line, "pretrain.optimizer.name=muon"])
    chosen = [cfg[group]["name"] for group in ("task", "data", "model")]
    assert chosen == ["pretrain", "text", "minillm_26m"]
    options = cfg["pretrain"]
    assert options["tokens_per_step"] % (options["rows_per_device"] * options["length"]) == 0
    assert options["length"] <= cfg["model"]["shape"]["context_length"]
    assert muon["pretrain"]["optimizer"] == options["optimizer"] | {"name": "muon"}
    for text in ((EXPERIMENTS / "recipe/minillm_26m.yaml").read_text(), (REPO / "README.md").read_text()):
        assert f"python -m topiclab -cd experiments {line[-1]}" in text


def test_a_name_is_of_one_file() -> None:
    plans = [path for path in EXPERIMENTS.glob("*/*.yaml") if path.parent.name not in HYDRA_GROUPS]
    kinds = [path.name.split(".")[1:-1] for path in plans if path.name != "reference.yaml"]
    assert len(GRIDS) == kinds.count([])
    assert len(TABLES) == kinds.count(["table"])
    for name, path in TABLES.items():
        beside = path.with_name(path.name.replace(".table", ""))
        assert GRIDS.get(name, beside) == beside
        assert read_table(EXPERIMENTS, place_of(path)) == read_table(EXPERIMENTS, name)
    for name, path in GRIDS.items():
        assert read_table(EXPERIMENTS, place_of(path)) == read_table(EXPERIMENTS, name)


def test_a_recipe_or_model_is_no_grid() -> None:
    assert {path.parent.name for path in (*GRIDS.values(), *TABLES.values())}.isdisjoint(HYDRA_GROUPS)
    assert all((EXPERIMENTS / group).is_dir() for group in HYDRA_GROUPS)


def cells_of(path: Path) -> int:
    """Number of cells of a grid, table or sweep file."""
    if ".sweep" in path.name:
        sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
        parameters = sweep["parameters"].values()
        return sweep.get("run_cap") or math.prod(len(each.get("values", [None])) for each in parameters)
    if ".table" in path.name:
        table = read_table(EXPERIMENTS, place_of(path))
        return sum(len(planned_cells(GRIDS[grid])) for grid in table.grids)
    return len(planned_cells(path))


def test_the_readme_lists_every_grid_and_counts_its_cells() -> None:
    """Counts the cells of one yaml and, after `of`, those of all grids that its make target runs."""
    rows = re.findall(r"^\| .+? \| `(\S+)` \| `(.+?)` \| (\d+)(?: of (\d+))? \|", README, re.MULTILINE)
    said = {place: (target, int(own), int(whole or own)) for place, target, own, whole in rows}
    assert len(said) == len(rows)
    files = {name: GRIDS.get(name, TABLES.get(name)) for name in GRIDS | TABLES}
    sweeps = {place_of(path): path for path in EXPERIMENTS.glob("*/*.sweep.yaml")}
    found = {}
    for name, path in (files | sweeps).items():
        own = whole = cells_of(path)
        target = "wandb sweep" if name in sweeps else f"make {name}"
        if re.match("dsl_|tvq_|theta_", name):
            target = target.replace("_", "-")
        if path.parent.name == "neurips":
            target = "make neurips-lda"
        elif name in TABLES:
            whole = cells_of(TABLES[name])
        found[path.relative_to(EXPERIMENTS).as_posix()] = (target, own, whole)
    assert said == found


def test_the_readme_links_every_result() -> None:
    linked = set(re.findall(r"\]\((?!\.\.)(\S+/\S+)\)", README))
    kept = {path for kind in ("md", "csv", "png") for path in EXPERIMENTS.glob(f"*/*.{kind}")}
    assert linked == {path.relative_to(EXPERIMENTS).as_posix() for path in kept if path.stem != "reference"}


def test_the_hours_of_the_readme_are_the_seconds_of_the_results() -> None:
    said = dict(re.findall(r"^\| .+? \| `(\S+)` \| `.+?` \| [\d of]+ \| ([\d.]+) \|", README, re.MULTILINE))
    names = {place_of(path): name for name, path in GRIDS.items()}
    hours: dict[str, float] = {}
    for path in EXPERIMENTS.glob("*/*.csv"):
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            if "seconds" in row:
                place = (
                    GRIDS[row.get("experiment") or names[place_of(path)]].relative_to(EXPERIMENTS).as_posix()
                )
                hours[place] = hours.get(place, 0) + int(row["seeds"]) * float(row["seconds"]) / 3600
    assert len(hours) == 18
    assert {place: f"{number:.2f}" for place, number in hours.items()}.items() <= said.items()


@pytest.mark.parametrize("path", GRIDS.values(), ids=GRIDS)
def test_the_head_counts_the_cells(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("defaults:")[0].replace("\n# ", " ")
    (said,) = re.findall(r"\((\d+) cells\)", head)
    assert len(planned_cells(path)) == int(said)


@pytest.mark.parametrize("name", GRIDS)
def test_a_tiny_cell_runs(name: str, tmp_path: Path, cache: Path, tiny_lm: Path) -> None:
    assert run_tiny(name, planned_cells(GRIDS[name])[0], tmp_path, cache, tiny_lm)["status"] == "done"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.stem}/{path.stem}")
def test_every_model_of_the_experiments_runs(path: Path, tmp_path: Path, cache: Path, tiny_lm: Path) -> None:
    option = path.relative_to(EXPERIMENTS / "model").with_suffix("").as_posix()
    cells = {
        name: [cell for cell in planned_cells(path) if cell.get("model") == option]
        for name, path in GRIDS.items()
    }
    found = [(grid, those[0]) for grid, those in cells.items() if those]
    if not found:  # named in a grid's header, so it ran there
        assert any(f"override /model: {option}\n" in path.read_text() for path in GRIDS.values())
    else:
        assert run_tiny(*found[0], tmp_path, cache, tiny_lm)["status"] == "done"


def test_the_command_runs_a_grid_and_the_report_finds_it(tmp_path: Path, capsys) -> None:
    command = [sys.executable, "-m", "topiclab", "-cd", str(EXPERIMENTS), "-cn", "dsl/offline_main"]
    places = [f"paths.outputs={tmp_path}/outputs", f"paths.cache={tmp_path}/cache"]
    finished = subprocess.run(
        [*command, *TINY, "trainer.max_epochs=1", *places, "teacher=neighbours,corpus"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert report(["dsl_offline", "--outputs", f"{tmp_path}/outputs", "--experiments", str(EXPERIMENTS)]) == 1
    captured = capsys.readouterr()
    assert re.search(r"^\| synthetic \| prodlda \| neighbours \|", captured.out, re.MULTILINE)
    assert "dsl_offline_main: 2 of 110 cells done" in captured.err


def test_the_report_names_grids_as_the_line_takes_them(capsys) -> None:
    assert report(["tvq_sensitivity", "--grids", "--experiments", str(EXPERIMENTS)]) == 0
    assert capsys.readouterr().out.split() == ["tvqvae/sensitivity", "tvqvae/sensitivity_controls"]


@pytest.mark.parametrize(
    ("table", "place"), [("dsl-offline-main", "dsl/offline_main"), ("foundation", "foundation/minilm")]
)
@pytest.mark.parametrize("code", [0, 1])
def test_make_keeps_a_table_whose_cells_all_ran(table: str, place: str, code: int, tmp_path: Path) -> None:
    name = table.replace("-", "_")
    (tmp_path / "bin").mkdir()
    (tmp_path / ".stamp").touch()
    python = tmp_path / "bin/python"
    python.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/lines\n'
        f'case "$*" in *--grids) echo {place};; "-m topiclab -cd"*) exit {code};; esac\n'
    )
    python.chmod(0o755)
    made = subprocess.run(["make", table, f"VENV={tmp_path}", "ARGS=seed=7"], cwd=REPO, capture_output=True)
    lines = (tmp_path / "lines").read_text().splitlines()
    assert f"-m topiclab -cd experiments -cn {place} seed=7" in lines
    is_kept = f"-m topiclab.report {name} --format csv --out experiments/{place}.csv" in lines
    has_table = (EXPERIMENTS / f"{place}.table.yaml").exists()
    assert (f"-m topiclab.report {name} --out experiments/{place}.md" in lines) == (is_kept and has_table)
    assert (made.returncode == 0) == is_kept == (code == 0)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_of_grids_and_metrics_that_exist(name: str) -> None:
    table = read_table(EXPERIMENTS, name)
    assert table.title
    assert GRIDS.keys() >= set(table.grids) > set()
    for part in table.parts or (table,):
        assert {*METRICS, "seconds"} >= set(part.metrics)
        assert bool(part.metrics) == (part.check is None)


@pytest.mark.parametrize("system", sorted(path.parent.name for path in EXPERIMENTS.glob("*/reference.csv")))
def test_published_numbers_are_of_what_the_grids_have(system: str) -> None:
    reference = read_reference(EXPERIMENTS / system)
    planned = [planned_axes(path, cell) for path in GRIDS.values() for cell in planned_cells(path)]
    names = ("data", "model", "objective")
    known = {tuple(axes[name] for name in names) for axes in planned}
    teachers = {axes["teacher"] for axes in planned}
    for row in reference.rows:
        assert tuple(row[name] for name in names) in known
        assert row["teacher"] in {*teachers, ""}
        assert row["metric"] in METRICS
        assert float(row["value"]) > 0
