"""Checks: tests of claims over a grid; each yields tables, a figure and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from topiclab.report.tables.collect import Cell

CHECKS = ("sensitivity", "neighbourhoods", "crossmodal")


def render_check(name: str, cells: Sequence[Cell]) -> str:
    """Render the check's Markdown over its finished cells; raise ValueError for an unknown check."""
    return _module(name).render([cell for cell in cells if cell.is_done])


def draw_check(name: str, cells: Sequence[Cell], path: Path) -> Path:
    """Write the check's figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return _module(name).draw([cell for cell in cells if cell.is_done], path)


def setting(cell: Cell, key: str) -> Any:
    """Value of a dotted key in the configuration of a finished cell; None if it is missing."""
    node: Any = cell.config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _module(name: str) -> Any:
    if name not in CHECKS:
        raise ValueError(f"check: {name} is unknown; choose from: {' '.join(CHECKS)}")
    return import_module(f"topiclab.report.checks.{name}")  # needs numpy, which other tables do not
