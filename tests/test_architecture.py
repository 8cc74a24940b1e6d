"""What the layout promises: which package imports which, and how long a file or function may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "topiclab"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_FILE_LINES, MOST_FUNCTION_LINES = 400, 60

# What a package must not import: data flows conf -> data -> models -> metrics -> report.
FORBIDDEN = {
    "data": ("models", "tasks", "metrics", "report", "embed", "objectives", "wandb_log"),
    "embed": ("models", "tasks", "metrics", "report", "objectives", "wandb_log"),
    "nn": ("embed", "models", "tasks", "metrics", "report", "wandb_log"),
    "models": ("tasks", "metrics", "report", "wandb_log", "config", "run", "grid"),
    "metrics": ("embed", "models", "nn", "rate", "tasks", "teach", "report", "objectives", "wandb_log"),
    "teach": ("models", "tasks", "metrics", "rate", "report", "objectives", "wandb_log"),
    "rate": ("models", "tasks", "report", "objectives", "wandb_log"),
    "describe": ("embed", "models", "nn", "tasks", "teach", "report", "objectives", "wandb_log"),
    "report": ("data", "embed", "models", "nn", "tasks", "metrics", "objectives", "wandb_log"),
}
WITHOUT_TORCH = (
    "report",
    "describe",
    "metrics",
    "config.py",
    "rules.py",
    "grid.py",
    "pool.py",
    "worker.py",
    "cell.py",
    "composer.py",
    "machine.py",
    "progress.py",
    "schedule.py",
    "run.py",
    "result.py",
    "__main__.py",
)


def imports_of(path: Path, *, only_at_import: bool = False) -> Iterator[str]:
    """Absolute names of imported modules and, for `from a import b`, a.b too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if only_at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write topiclab.<module>"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    for path in sorted((PACKAGE / package).rglob("*.py")):
        wrong = [
            name
            for name in imports_of(path)
            for other in FORBIDDEN[package]
            if f"{name}.".startswith(f"topiclab.{other}.")
        ]
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}"


@pytest.mark.parametrize("place", WITHOUT_TORCH)
def test_torch_stays_out(place: str) -> None:
    heavy = ("torch", "lightning", "transformers", "sentence_transformers")
    paths = [PACKAGE / place] if place.endswith(".py") else sorted((PACKAGE / place).rglob("*.py"))
    wrong = [
        name
        for path in paths
        for name in imports_of(path, only_at_import=True)
        if name.split(".")[0] in heavy
    ]
    assert not wrong, f"{place} imports {wrong}"


@pytest.mark.parametrize(
    "module",
    [
        "topiclab.report.__main__",
        "topiclab.report.figures.base",
        "topiclab.report.figures.pictures",
        "topiclab.__main__",
    ],
)
def test_light_modules_load_nothing_heavy(module: str) -> None:
    heavy = {"torch", "lightning", "transformers", "wandb", "sklearn"}
    code = f"import sys, {module}; print({heavy} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert found.stdout.strip() == "set()"


def test_files_and_functions_stay_readable() -> None:
    long = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MOST_FILE_LINES:
            long.append(f"{path.relative_to(PACKAGE)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    long.append(f"{path.relative_to(PACKAGE)}: {node.name} has {lines} lines")
    assert not long, "\n".join(long)


def test_every_file_is_named_after_what_it_holds() -> None:
    nameless = {"utils", "helpers", "common", "manager", "misc"}
    assert not [path for path in FILES if nameless & {path.stem, path.parent.name}]
