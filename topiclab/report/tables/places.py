"""Places: paths of the grids and tables in experiments/<system>/, by the names in their files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

GRID_HEAD = "# @package _global_\n"
NAME = re.compile(r"^name: (\S+)$", re.MULTILINE)


def grid_files(experiments: Path) -> dict[str, Path]:
    """Yaml of every grid by its name, which is the first level of outputs/."""
    paths = [path for path in experiments.glob("*/*.yaml") if "." not in path.stem]
    return _by_name(path for path in paths if path.read_text(encoding="utf-8").startswith(GRID_HEAD))


def table_files(experiments: Path) -> dict[str, Path]:
    """Every <table>.table.yaml by the name in it, which is its make target."""
    return _by_name(experiments.glob("*/*.table.yaml"))


def find_grid(experiments: Path, name: str) -> Path | None:
    """Yaml of a grid, found by its place under experiments/ (dsl/main) or its name (dsl_main)."""
    path = experiments / f"{name}.yaml"
    return path if path.is_file() else grid_files(experiments).get(name)


def find_table(experiments: Path, name: str) -> Path | None:
    """Yaml of a table, found by its place under experiments/ (dsl/offline) or its name (dsl_offline)."""
    path = experiments / f"{name}.table.yaml"
    return path if path.is_file() else table_files(experiments).get(name)


def name_in(path: Path) -> str:
    """Name given in a grid or table file; without one, the file name up to the first dot."""
    found = NAME.search(path.read_text(encoding="utf-8"))
    return found[1] if found else path.name.partition(".")[0]


def config_name(experiments: Path, grid: str) -> str:
    """Value of `-cn` that runs a grid: dsl/main for dsl_main; the name itself if no file has it."""
    path = find_grid(experiments, grid)
    return grid if path is None else path.relative_to(experiments).with_suffix("").as_posix()


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(paths)}
    return {found[1]: path for path, text in texts.items() if (found := NAME.search(text))}
