"""Changes: files that the cells of a table depend on and that are not as they were at its commits."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from topiclab.config.rules import flatten
from topiclab.report.age.definitions import Package, is_changed
from topiclab.report.age.modules import modules_of
from topiclab.report.age.options import MAIN, choice_of, defaults_of, load_yaml, merged, option_path
from topiclab.report.age.tree import Checkout, Tree
from topiclab.report.tables.places import NAME

UNREAD_GROUPS = ("logger", "paths", "rating")  # places, and what no table here has
MAIN_KEYS = ("num_topics", "seed", "embed_text", "input", "select_k")  # of conf/config.yaml, in every cell
PLACES = re.compile(r"^(name|source)$|_target_$|^task\.|^uses(\.|$)")  # keys that name classes or readers
LINE = re.compile(r"python -m topiclab (?!\.)(.*)")


class Changes:
    """Changes of a checkout between earlier commits and now, for lines that make cells."""

    def __init__(self, root: Path) -> None:
        self.checkout = Checkout(root)
        self.pasts: dict[str, _Past] = {}

    @cached_property
    def now(self) -> Tree:
        return Tree.now(self.checkout)

    def since(self, commit: str, commands: Iterable[str]) -> list[str]:
        """Files that the cells of these lines depend on and that changed after a commit, sorted.

        Comments, docstrings, imports and places of files do not count; nor does an option that was added,
        since the code that reads it does. CalledProcessError if the clone lacks the commit.
        """
        if commit not in self.pasts:
            self.pasts[commit] = _Past(self.now, Tree.at(self.checkout, commit))
        depends = dict.fromkeys(path for line in commands for path in self.depends(line))
        return sorted(path for path in depends if self.pasts[commit].is_changed(path))

    def depends(self, line: str) -> list[str]:
        """Files that the cells of a line depend on; [] for a line that makes none."""
        found = LINE.search(line)
        if not found:
            return []
        words = shlex.split(found[1], comments=True)
        grid = words[words.index("-cn") + 1] if "-cn" in words else None
        if grid and f"experiments/{grid}.yaml" not in self.now.blobs:
            return []
        choice = choice_of(self.now, grid, [word for word in words if "=" in word])
        options = (
            option_path(self.now, group, name) for group, name in choice.pairs() if group not in UNREAD_GROUPS
        )
        modules = modules_of(self.now, choice)
        code = [self.now.modules[name] for name in modules]
        paths = [*choice.files, *filter(None, options), *code, *self._texts_beside(code)]
        return list(dict.fromkeys(paths))

    def _texts_beside(self, code: Iterable[str]) -> list[str]:
        """Prompts and lists of words: text files in a folder beside a module that names the folder."""
        folders = {path.rpartition("/")[0] for path in self.now.blobs if path.endswith(".txt")}
        named = tuple(
            f"{folder}/"
            for folder in folders
            for path in code
            if path.rpartition("/")[0] == folder.rpartition("/")[0]
            and f'"{folder.rpartition("/")[2]}"' in (self.now.read(path) or "")
        )
        return [path for path in self.now.blobs if path.endswith(".txt") and path.startswith(named)]


class _Past:
    """Files of a commit beside those of now."""

    def __init__(self, now: Tree, old: Tree) -> None:
        self.now, self.old, self.package = now, old, Package(old)
        self.blobs = set(old.blobs.values())
        self.known: dict[str, bool] = {}

    def is_changed(self, path: str) -> bool:
        if path not in self.known:
            is_same = self.now.blobs[path] in self.blobs and not path.endswith(".yaml")
            is_same |= path.endswith(".txt") and path not in self.old.blobs  # what was added, code must name
            text = self.now.read(path) or ""
            self.known[path] = not is_same and (
                self._has_other_values(path)
                if path.endswith(".yaml")
                else path.endswith(".txt") or is_changed(text, self.package)
            )
        return self.known[path]

    def _has_other_values(self, path: str) -> bool:
        """True if a key of an earlier yaml has another value now, or is gone."""
        before = _earlier_path(self.now, path, self.old)
        earlier, current = _values(self.old, before), _values(self.now, path)
        is_other = any(current.get(key, "absent") != value for key, value in earlier.items())
        return is_other or before not in self.old.blobs


def _earlier_path(now: Tree, path: str, old: Tree) -> str:
    """Path of a yaml in an earlier tree; a grid that moved is found by the name in it."""
    if path in old.blobs or path.startswith("conf/"):
        return path
    name = NAME.search(now.read(path) or "")
    grids = (each for each in old.blobs if each.startswith("experiments/") and each.endswith(".yaml"))
    same = (each for each in grids if name and name[0] in (old.read(each) or "").splitlines())
    return next(same, path)


def _values(tree: Tree, path: str) -> dict[str, object]:
    """Dotted keys of a yaml that can change a number, with their values; {} for a file not in the tree."""
    if path not in tree.blobs:
        return {}
    node = load_yaml(tree, path)
    if path == MAIN:
        return dict(flatten({key: node[key] for key in MAIN_KEYS if key in node}))
    if "sweeper" in node.get("hydra", {}):
        swept = {f"sweep.{key}": str(value) for key, value in node["hydra"]["sweeper"]["params"].items()}
        rest = {key: value for key, value in node.items() if key not in ("hydra", "name", "defaults")}
        return {**defaults_of(tree, path), **dict(flatten(rest)), **swept}
    return {key: value for key, value in merged(tree, path).items() if not PLACES.search(key)}
