"""Definitions: statements of Python files, compared without what cannot change a number."""

from __future__ import annotations

import ast
import re
from functools import cache, cached_property

from topiclab.report.age.tree import Tree

START = re.compile(r"^(?:class \w+|def \w+|\w+(?= ?[-+*|&]?[:=]))", re.MULTILINE)


class _Bare(ast.NodeTransformer):
    """Drops docstrings and import lines; comments and layout are not in a syntax tree anyway."""

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        return node if node.body else None  # `if TYPE_CHECKING:` with nothing but imports


class Statement:
    """A top-level statement of a module.

    start: text that begins it wherever it stands, such as `def fit`; '' if it has no name.
    source: its lines.
    """

    def __init__(self, node: ast.stmt, lines: list[str]) -> None:
        decorators = getattr(node, "decorator_list", ())
        first = min([node.lineno, *(each.lineno for each in decorators)])
        self.node, self.start = node, _start(node)
        self.source = "\n".join(lines[first - 1 : node.end_lineno])

    @cached_property
    def bare(self) -> str:
        """Tree of the statement without docstrings, imports, comments and layout; '' if nothing is left."""
        node = _Bare().visit(self.node)
        return ast.dump(node) if node else ""


@cache
def statements(text: str) -> tuple[Statement, ...]:
    """Top-level statements of a module, but for its imports."""
    nodes = ast.parse(text).body
    lines = text.splitlines()
    return tuple(
        Statement(node, lines) for node in nodes if not isinstance(node, ast.Import | ast.ImportFrom)
    )


def _start(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"def {node.name}"
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


@cache
def _starts(text: str) -> frozenset[str]:
    """Starts of the statements of a module, found without a parse."""
    return frozenset(START.findall(text.replace("\nasync def ", "\ndef ")))


class Package:
    """All Python files of an earlier tree, to look statements up in."""

    def __init__(self, tree: Tree) -> None:
        texts = [tree.read(path) or "" for path in tree.modules.values()]
        self.holding: dict[str, list[str]] = {"": texts}  # texts by the starts of their statements
        for text in texts:
            for start in _starts(text):
                self.holding.setdefault(start, []).append(text)

    def has(self, statement: Statement) -> bool:
        """True if the statement was in some file, with or without other comments and docstrings."""
        texts = self.holding.get(statement.start, [])
        if any(statement.source in text for text in texts) or not statement.bare:  # which needs no parse
            return True
        return any(
            each.start == statement.start and each.bare == statement.bare
            for text in texts
            for each in statements(text)
        )


def is_changed(text: str, old: Package) -> bool:
    """True if a module holds a statement that was nowhere in an earlier package.

    So neither a file that was moved or split is changed, nor a function that moved to another file.
    """
    return not all(old.has(statement) for statement in statements(text))
