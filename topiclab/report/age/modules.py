"""Modules: Python files that the cells of a choice of options run, by what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache

from topiclab.report.age.options import ROOTS, Choice, merged, option_path, targets
from topiclab.report.age.tree import Tree

# Modules that check, place, show or keep a cell, and change none of its numbers.
NEVER = tuple(
    """
    api atomic cache checkpoint config describe digest limits machine reads report result runs settings
    __main__ pipeline.wandb_log pipeline.saved_model pipeline.stages
    """.split()  # noqa: SIM905
)
# By the configuration, as classes are.
CHOSEN = ("data.sources", "data.images", "pipeline.fit_images", "rate")
ALWAYS = ("data.sources.corpora",)
READERS = {"arxiv": "arxiv", "neurips": "neurips", "20newsgroups": "newsgroups", "synthetic": "synthetic"}
READERS |= {"file": "file", "text": "folder"}  # of data.source; the others are published corpora
IMAGES = ("data.images.image_set", "pipeline.fit_images")


def modules_of(tree: Tree, choice: Choice) -> set[str]:
    """Modules that the cells run: classes that the options name, the task, and what these import.

    A class that the configuration could choose but this one does not is left out, though shared code
    imports it.
    """
    chosen: set[str] = set()
    for group, name in choice.pairs():
        if path := option_path(tree, group, name):
            chosen |= {target for target in targets(tree, path) if target in tree.modules}
            chosen |= _readers(tree, path) if group == "data" else set()
    tasks = {module for module in chosen if module.startswith("topiclab.tasks.")}
    readers = {name for name in tree.modules if _is_below(name, CHOSEN)}
    readers -= {f"topiclab.{name}" for name in ALWAYS} | chosen
    if any(name.startswith("topiclab.data.images.") for name in chosen):
        readers = {name for name in readers if not _is_below(name, ("data.images",))}
    found = _closure(tree, chosen - tasks, readers)
    return found | _closure(tree, tasks, readers | (_named_modules(tree) - tasks))


def _readers(tree: Tree, path: str) -> set[str]:
    """Modules that read the corpus of an option of data."""
    values = merged(tree, path)
    if "channels" in values:
        return {f"topiclab.{name}" for name in IMAGES}
    names = [str(values.get("source")), *(values.get("corpora") or ())]
    return {f"topiclab.data.sources.{READERS.get(name, 'published')}" for name in names}


def _named_modules(tree: Tree) -> set[str]:
    """Modules that any option names."""
    paths = (path for path in tree.blobs if path.endswith(".yaml") and path.startswith(ROOTS))
    return {target for path in paths for target in _targets_in(tree.read(path) or "")}


@cache
def _targets_in(text: str) -> frozenset[str]:
    lines = (line.strip() for line in text.splitlines())
    found = (line.split()[1] for line in lines if line.startswith("_target_: topiclab."))
    return frozenset(target.rpartition(".")[0] for target in found)


def _closure(tree: Tree, roots: Iterable[str], stops: set[str]) -> set[str]:
    """The roots and every module that they import, directly or not, except through NEVER and stops."""
    waiting, found = list(roots), set[str]()
    while waiting:
        module = waiting.pop()
        while module not in tree.modules and "." in module:
            module = module.rpartition(".")[0]
        is_out = module == "topiclab" or module in stops or _is_below(module, NEVER)
        if module in tree.modules and module not in found and not is_out:
            found.add(module)
            waiting += imports(tree.read(tree.modules[module]) or "")
    return found


def _is_below(module: str, names: Iterable[str]) -> bool:
    return f"{module}.".startswith(tuple(f"topiclab.{name}." for name in names))


@cache
def imports(text: str) -> tuple[str, ...]:
    """Names of the package's modules, or of what is in them, that a file imports anywhere."""
    return tuple(_imports(ast.parse(text)))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("topiclab."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("topiclab"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
