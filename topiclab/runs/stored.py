"""A finished run as it stands in a folder of anybody's: checked before anything of it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import HydraException

from topiclab.config.configuration import GROUPS
from topiclab.config.trust import check_values, gate

WAY_OUT = "fit it again, or give another folder"
FIT_GROUPS = ("data", "model", "objective", "mode", "embedder", "trainer", "paths")
# Keys that a fit of any version has, and that `load` reads.
FIT_KEYS = (
    "data.name",
    "mode.name",
    "mode.class_weight",
    "model.name",
    "model._target_",
    "objective._target_",
)
# Raised by code that meets keys, types or names that it does not expect.
ODD = (
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    AssertionError,
    RecursionError,
    ImportError,
    HydraException,
)


def check_stored(result: Any, folder: Path, *, trust: bool) -> None:
    """Raise ValueError, naming folder and key, for a finished run that cannot be loaded or may not be.

    trust: lets it name code from outside topiclab.
    """
    for key in ("config", "metrics", "manifest"):
        _group(result, key, folder)
    config = result["config"]
    _group(_group(config, "task", folder), "name", folder, "task.", kind=str)
    if config["task"]["name"] == "fit":
        for key in FIT_GROUPS:
            _group(config, key, folder)
        for key in FIT_KEYS:
            group, _, name = key.partition(".")
            if name not in config[group]:
                raise ValueError(f"{folder}: its result.json lacks {key}; {WAY_OUT}")
    if not trust:
        gate(config, folder)
    check_values(config, folder)


def check_groups(config: Any) -> None:
    """Raise ValueError unless a stored configuration is a mapping, and so are the groups in it."""
    if not isinstance(config, Mapping):
        raise ValueError("config is not a group of keys")
    for key in GROUPS:
        if config.get(key) is not None and not isinstance(config[key], Mapping):
            raise ValueError(f"config.{key} is not a group of keys")


def _group(outer: Any, key: str, folder: Path, prefix: str = "", kind: type = dict) -> Any:
    """The value of a key that must be there and of this type."""
    if key not in outer:
        raise ValueError(f"{folder}: its result.json lacks {prefix}{key}; {WAY_OUT}")
    if not isinstance(outer[key], kind):
        expected = "a group of keys" if kind is dict else "text"
        raise ValueError(f"{folder}: {prefix}{key} in its result.json is not {expected}; {WAY_OUT}")
    return outer[key]


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Raise ValueError that names the folder for whatever its files make the block raise."""
    try:
        yield
    except ValueError as error:
        if str(folder) in str(error):
            raise
        raise ValueError(f"{folder}: {error}") from error
    except ODD as error:
        told = f"lacks {error.args[0]}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{folder}: its files do not describe a run to load ({told}); {WAY_OUT}") from error
