"""Options: yaml files of the groups that the command of a table chooses, read without composing them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from topiclab.config.rules import flatten
from topiclab.report.age.tree import Tree
from topiclab.report.tables.plan import sweep_values

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where libyaml is there: ten times as fast
ROOTS = ("conf", "experiments")
MAIN = "conf/config.yaml"
TARGET = "_target_"


@dataclass
class Choice:
    """Choices of a line: options of each group, and the yaml that has no group, such as that of a grid.

    options: {group: names in the order of the line}.  files: paths.
    """

    options: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Group and name of every option."""
        for group, names in self.options.items():
            yield from ((group, name) for name in names)


def choice_of(tree: Tree, grid: str | None, overrides: list[str]) -> Choice:
    """Choice of a line. grid: path of the yaml that -cn names, from experiments/; None: conf/config.yaml."""
    choice = Choice(files=[MAIN])
    chosen = defaults_of(tree, MAIN)
    own: dict[str, str] = {}
    swept: dict[str, list[str]] = {}
    if grid:
        choice.files.append(path := f"experiments/{grid}.yaml")
        own = defaults_of(tree, path)
        node: Any = load_yaml(tree, path)
        swept = sweep_values((node.get("hydra") or {}).get("sweeper", {}).get("params") or {})
    given = {key: value for key, _, value in (word.lstrip("+").partition("=") for word in overrides)}
    swept |= sweep_values({key: value for key, value in given.items() if is_group(tree, key)})
    task = next(iter(swept.get("task", ())), own.get("task", chosen.get("task", "fit")))
    chosen |= defaults_of(tree, f"conf/task/{task}.yaml") | own | {"task": task}
    groups = {group: [name] for group, name in chosen.items()}
    groups |= {name: values for name, values in swept.items() if is_group(tree, name)}
    for key, names in groups.items():  # model@captions.model is a second option of the group model
        choice.options.setdefault(key.partition("@")[0], []).extend(names)
    return choice


def is_group(tree: Tree, name: str) -> bool:
    """True if a key of a line chooses an option: it is a folder of yaml files."""
    return any(path.startswith(tuple(f"{root}/{name}/" for root in ROOTS)) for path in tree.blobs)


def option_path(tree: Tree, group: str, name: str) -> str | None:
    """Yaml of an option, from conf/ or experiments/; None if the tree has none."""
    paths = (f"{root}/{group}/{name}.yaml" for root in ROOTS)
    return next((path for path in paths if path in tree.blobs), None)


def merged(tree: Tree, path: str) -> dict[str, Any]:
    """Dotted keys and values of an option together with those that it stands on."""
    found: dict[str, Any] = {}
    node: Any = load_yaml(tree, path)
    for entry in node.get("defaults", ()):
        if isinstance(entry, str) and (below := _below(tree, path, entry)):
            found |= merged(tree, below)
    own = {key: value for key, value in node.items() if key not in ("defaults", "hydra")}
    return found | dict(flatten(own))


def targets(tree: Tree, path: str) -> list[str]:
    """Modules of the classes and functions that an option names."""
    pairs = merged(tree, path).items()
    return [str(value).rpartition(".")[0] for key, value in pairs if key.split(".")[-1] == TARGET]


def _below(tree: Tree, path: str, entry: str) -> str | None:
    """Yaml that an entry of a defaults list names: _base of the same group, or /model/theta@_here_."""
    name = entry.partition("@")[0]
    if name in ("_self_", "/config"):
        return None
    if name.startswith("/"):
        group, _, option = name[1:].partition("/")
        return option_path(tree, group, option)
    group, _, folder = path.partition("/")[2].rpartition("/")[0].partition("/")
    return option_path(tree, group, f"{folder}/{name}".lstrip("/"))


def defaults_of(tree: Tree, path: str) -> dict[str, str]:
    """Options that the defaults list of a primary yaml or a task names, by group."""
    node: Any = load_yaml(tree, path)
    entries = [entry for entry in node.get("defaults", ()) if isinstance(entry, dict)]
    pairs = [(key, value) for entry in entries for key, value in entry.items()]
    groups = {re.sub(r"^(override |optional )*/?", "", key): str(value) for key, value in pairs}
    return {group: name for group, name in groups.items() if not group.startswith("hydra/")}


def load_yaml(tree: Tree, path: str) -> Any:
    """Content of a yaml; {} if the tree has no such file. Not to be changed, since it is kept."""
    return _parsed(tree.read(path) or "")


@cache
def _parsed(text: str) -> Any:
    return yaml.load(text, LOADER) or {}
