"""The keys that a class named by `_target_` takes, with their types, read from its source.

A configuration is checked before anything heavy is imported, so the class is not imported: its constructor
and those that it passes **keywords to are parsed. Modules are followed inside the packages of the class and
of topiclab; names from elsewhere are looked up only where that is cheap (LIGHT).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, get_args, get_origin

LIGHT = ("typing", "collections.abc", "pydantic", "topiclab.limits")


@dataclass(frozen=True)
class WrittenClass:
    """A class that is not imported, by its module and name."""

    module: str
    name: str


@dataclass(frozen=True, eq=False)
class _Source:
    """Names of a module's top level.  imports: local name -> (module, name there)."""

    module: str
    classes: dict[str, ast.ClassDef]
    aliases: dict[str, ast.expr]
    imports: dict[str, tuple[str, str]]


class _Names(Mapping[str, Any]):
    """Values of the names in a source, for the evaluation of an annotation."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def __getitem__(self, name: str) -> Any:
        source = self._source
        if name in source.classes:
            return WrittenClass(source.module, name)
        if name in source.aliases:
            return _evaluate(source.aliases[name], source)
        module, named = source.imports[name]
        if module in LIGHT:
            return getattr(import_module(module), named)
        if module.split(".")[0] in ("topiclab", source.module.split(".")[0]) and (found := _source(module)):
            return _Names(found)[named]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._source.classes, **self._source.aliases, **self._source.imports})

    def __len__(self) -> int:
        return len(list(iter(self)))


@cache
def kinds_of(target: str) -> dict[str, Any]:
    """Dotted key -> type of everything that a class takes; Any where the type cannot be determined.

    A parameter that is a TypedDict or a dataclass, or Annotated with the class that it is passed to, is
    followed by the keys of that class. {} where target is not the dotted name of a class.
    """
    module, _, name = target.rpartition(".")
    source = _source(module)
    return dict(_kinds(WrittenClass(module, name))) if source and name in source.classes else {}


def inner_class(kind: Any) -> WrittenClass | None:
    """The class whose keys a parameter of this type has."""
    found = get_args(kind)[1:] if get_origin(kind) is Annotated else (kind,)
    return next((part for part in found if isinstance(part, WrittenClass)), None)


def _kinds(written: WrittenClass, prefix: str = "", outer: tuple[WrittenClass, ...] = ()) -> Iterator[Any]:
    for name, (annotation, source) in _parameters(written).items():
        kind = Any if annotation is None else _evaluate(annotation, source)
        yield f"{prefix}{name}", kind
        inner = inner_class(kind)
        if inner is not None and inner not in (*outer, written):
            yield from _kinds(inner, f"{prefix}{name}.", (*outer, written))


@cache
def _source(module: str) -> _Source | None:
    """Parse a module; None unless it exists as a Python file. Its parent packages are imported."""
    try:
        spec = find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    with open(spec.origin, encoding="utf-8") as stream:  # noqa: PTH123
        tree = ast.parse(stream.read())
    source = _Source(module, {}, {}, {})
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            source.classes[node.name] = node
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
            source.imports.update(names)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            source.aliases[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            source.aliases[node.target.id] = node.value
    return source


def _evaluate(node: ast.expr, source: _Source) -> Any:
    """The type that an annotation denotes; Any where it uses names that are not followed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # a type in quotes
        node = ast.parse(node.value, mode="eval").body
    try:
        return eval(compile(ast.Expression(node), source.module, "eval"), {}, _Names(source))
    except (NameError, TypeError, AttributeError):
        return Any


def _lineage(written: WrittenClass) -> Iterator[tuple[ast.ClassDef, _Source]]:
    """The class and its bases, as far as they can be followed, nearest first."""
    source = _source(written.module)
    if source is None or written.name not in source.classes:
        return
    node = source.classes[written.name]
    yield node, source
    for base in node.bases:
        if isinstance(found := _evaluate(base, source), WrittenClass):
            yield from _lineage(found)


def _parameters(written: WrittenClass) -> dict[str, tuple[ast.expr | None, _Source]]:
    """Parameter -> its annotation and the source with it; fields where no class has a constructor."""
    found: dict[str, tuple[ast.expr | None, _Source]] = {}
    fields: dict[str, tuple[ast.expr | None, _Source]] = {}
    for node, source in _lineage(written):
        inits = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        if inits:
            given = inits[-1].args
            named = [*given.posonlyargs, *given.args, *given.kwonlyargs][1:]
            found = {parameter.arg: (parameter.annotation, source) for parameter in named} | found
            if given.kwarg is None:
                return found
        annotated = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        fields = {
            part.target.id: (part.annotation, source)
            for part in annotated
            if isinstance(part.target, ast.Name)
        } | fields
    return found or fields
