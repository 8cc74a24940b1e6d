"""Rules of the layout: which package may import which, and the maximum length of a file or function."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from places import REPO

PACKAGE = REPO / "topiclab"
CONF = PACKAGE.parent / "conf"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60

# The floors of the house, from the ground up: a room imports only from floors below its own, and a room that
# is not here has no place yet. topiclab/__init__.py loads the Python API on first use and is exempt.
FLOORS = (
    ("atomic", "digest", "limits", "reads", "settings"),
    ("machine", "device", "cache", "checkpoint", "csv_table"),
    ("config",),
    ("result", "data", "runs"),
    ("nn", "objectives", "metrics", "report"),
    ("models", "minillm"),
    ("embed",),
    ("teach",),
    ("rate",),
    ("describe", "pipeline"),
    ("api",),
    ("tasks",),
    ("__main__",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
NEVER = {"models": ("config",), "minillm": ("config",), "nn": ("config",)}  # although it is a lower floor
WITHOUT_CFG = ("data", "nn", "models", "minillm")
CARRIERS = ("config", "runs")  # which carry the whole configuration as it was composed
MAX_MAPPINGS = 70  # parameters; lower it with every group that becomes a type
MAPPINGS = ("Mapping[str, Any]", "dict[str, Any]")
WITHOUT_TORCH = ("report", "describe", "metrics", "runs", "config")
WITHOUT_TORCH += ("machine", "settings", "limits", "result", "__main__")


def imports_of(path: Path, *, only_at_import: bool = False) -> Iterator[str]:
    """Yield absolute names of imported modules and, for `from a import b`, a.b too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if only_at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write topiclab.<module>"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    """Dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """First part below topiclab: a package, or a module outside packages."""
    return module.split(".")[1]


@cache
def imported_modules() -> dict[str, set[str]]:
    """Map each module of the package to the modules that it imports, anywhere in its file."""
    modules = {module_of(path) for path in FILES}

    def resolved(name: str) -> str:
        while name not in modules:
            name = name.rpartition(".")[0]
        return name

    return {
        module_of(path): {resolved(name) for name in imports_of(path) if name.startswith("topiclab.")}
        - {module_of(path), "topiclab"}
        for path in FILES
    }


def floor_fault(module: str, imported: str) -> str | None:
    """Reason why an import between two rooms is not allowed; None if it is."""
    room, other = room_of(module), room_of(imported)
    if room == other:
        return None
    if homeless := {room, other} - FLOOR_OF.keys():
        return f"{homeless.pop()} has no floor; give it a place in FLOORS"
    if FLOOR_OF[other] >= FLOOR_OF[room] or other in NEVER.get(room, ()):
        return f"{module} imports {imported}, which is not below it"
    return None


def test_a_room_takes_from_lower_floors_only() -> None:
    faults = [
        fault
        for module, imported in imported_modules().items()
        if module != "topiclab"
        for name in imported
        if (fault := floor_fault(module, name))
    ]
    assert not faults, "\n".join(faults)
    assert {room_of(module_of(path)) for path in FILES if path.parent != PACKAGE} <= FLOOR_OF.keys()


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("topiclab.models.theta", "topiclab.teach.corpus"),
        ("topiclab.models.theta", "topiclab.config.compose"),
        ("topiclab.minillm.network", "topiclab.models.theta"),
        ("topiclab.report.page.render", "topiclab.describe.files"),
        ("topiclab.attic.box", "topiclab.cache"),
    ],
)
def test_an_import_from_above_is_a_fault(module: str, imported: str) -> None:
    assert floor_fault(module, imported)


def test_no_files_import_each_other() -> None:
    graph, done = imported_modules(), set[str]()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for name in graph[module]:
                walk(name, (*path, module))
            done.add(module)

    for module in graph:
        walk(module, ())


@pytest.mark.parametrize("room", WITHOUT_CFG)
def test_the_whole_configuration_stops_above(room: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if "cfg" in (getattr(node, "id", None), getattr(node, "arg", None))
    ]
    assert not wrong, f"these read cfg: {wrong}"


def mapping_parameters() -> list[tuple[str, str, str]]:
    """Room, name and place of every parameter that is a mapping of anything.

    Lightning and torch say what a checkpoint and a state_dict are; a function that returns facts
    is not a mapping.
    """
    return [
        (room_of(module_of(path)), parameter.arg, f"{path.relative_to(PACKAGE)}:{parameter.lineno}")
        for path in FILES
        if path.parent != PACKAGE or path.stem != "__init__"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for parameter in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if parameter.annotation and parameter.arg not in ("checkpoint", "state_dict")
        for annotation in [ast.unparse(parameter.annotation)]
        if not annotation.startswith("Callable") and any(name in annotation for name in MAPPINGS)
    ]


def test_groups_of_fixed_keys_are_types() -> None:
    typed = {"trainer", "paths", "vocabulary", "split", "select_k", "evaluation"}
    wrong = [place for _, name, place in mapping_parameters() if name in typed]
    wrong += [place for room, name, place in mapping_parameters() if name == "cfg" and room not in CARRIERS]
    assert not wrong, f"these take a mapping: {wrong}"


def test_few_parameters_are_mappings() -> None:
    assert len(mapping_parameters()) <= MAX_MAPPINGS


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_torch_stays_out(room: str) -> None:
    heavy = ("torch", "lightning", "transformers", "sentence_transformers")
    wrong = [
        f"{module_of(path)} imports {name}"
        for path in FILES
        if path.parent != PACKAGE or path.stem == room
        if room_of(module_of(path)) == room
        for name in imports_of(path, only_at_import=True)
        if name.split(".")[0] in heavy
    ]
    assert not wrong, "\n".join(wrong)


def test_tasks_are_those_of_conf() -> None:
    tasks = {path.stem for path in (PACKAGE / "tasks").glob("*.py")} - {"__init__"}
    assert tasks == {path.stem for path in (CONF / "task").glob("*.yaml")}


def test_the_shelf_of_models_holds_what_conf_names_and_nothing_else() -> None:
    targets = [
        yaml.safe_load(path.read_text()).get("_target_", "") for path in (CONF / "model").glob("*.yaml")
    ]
    named = {target.rpartition(".")[0] for target in targets if target}
    shelf = {module_of(path) for path in (PACKAGE / "models").glob("*.py")} - {"topiclab.models"}
    assert named == shelf


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
        if text.count("\n") > MAX_FILE_LINES:
            long.append(f"{path.relative_to(PACKAGE)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(PACKAGE)}: {node.name} has {lines} lines")
    assert not long, "\n".join(long)


def test_every_file_is_named_after_what_it_holds() -> None:
    nameless = {"utils", "helpers", "common", "manager", "misc"}
    assert not [path for path in FILES if nameless & {path.stem, path.parent.name}]


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(PACKAGE))
        for path in FILES
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_tests_mirror_the_package() -> None:
    tests = REPO / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("*.py")} - {Path("support")}
    assert len(folders) > 1
    assert not [str(folder) for folder in sorted(folders) if not (PACKAGE / folder).is_dir()]
