"""Gate for configurations that the user did not type: which classes and functions they may name.

The result.json of a run folder may be anybody's. The code that it names is run only if conf/ or an installed
plugin names it in the same group, or if the user says that the folder can be trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from topiclab.config.declared import conf_dir
from topiclab.config.instantiate import MOVED
from topiclab.config.rules import RULES, ruled

PLUGINS = "topiclab.targets"  # group of entry points whose value module:Class may stand in any group
TARGET, TOKENIZER = "_target_", "embedder.tokenizer"
TOKENIZERS = frozenset(("jieba.lcut", "jieba.lcut_for_search"))  # functions allowed besides conf/'s
BUILT = ("model", "objective", "mode", "embedder", "teacher", "trainer")  # groups that `load` builds from


def foreign_code(config: Any) -> dict[str, Any]:
    """Dotted key -> value of whatever names code that neither conf/ nor a plugin names in that group."""
    return {key: value for key, value in _names_of_code(config) if not _is_known(key, value)}


def code_of(config: Any) -> dict[str, Any]:
    """Dotted key -> value of everything that names code."""
    return dict(_names_of_code(config))


def gate(config: Any, folder: Path | str, way_out: str = "trust=True (on a command line trust=true)") -> None:
    """Raise ValueError for a stored configuration that names foreign code."""
    if found := foreign_code(config):
        named = " and ".join(f"{key}={value}" for key, value in found.items())
        raise ValueError(
            f"{folder}: its result.json names {named}, which is not code of topiclab, and a run folder is "
            f"data; if you trust whoever made it, give {way_out}"
        )


def check_values(config: Any, folder: Path | str) -> None:
    """Raise ValueError for a value of a stored configuration that breaks the rule of its key."""
    groups = {name: config[name] for name in BUILT if isinstance(config.get(name), Mapping)}
    single = [(key, config[key], RULES[key]) for key in ("num_topics", "seed") if key in config]
    for key, value, rule in (*ruled(groups), *single):
        if rule is not None and not rule.accepts(value):
            shown = f"{key}={json.dumps(value)}"
            raise ValueError(f"{folder}: its result.json holds {shown}; it must be {rule.says}")


def faults_of_run(run: str, option: str) -> Iterator[str]:
    """A fault if the run folder that this option names holds foreign code; nothing if it is unreadable."""
    try:
        config = json.loads((Path(run).expanduser() / "result.json").read_bytes())["config"]
        gate(config, f"{option}={run}", "trust=true")
    except ValueError as error:
        if "trust=true" in str(error):
            yield str(error)
    except (OSError, RuntimeError, KeyError, TypeError, RecursionError):
        return


def _names_of_code(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every _target_, and of every function of an embedder, at any depth."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            key = f"{prefix}{name}"
            if name == TARGET or f".{key}".endswith(f".{TOKENIZER}"):
                yield key, value
            else:
                yield from _names_of_code(value, f"{key}.")
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            yield from _names_of_code(value, f"{prefix}{number}.")


def _is_known(key: str, value: Any) -> bool:
    if not isinstance(value, str):
        return value is None
    if not key.endswith(TARGET):
        return value in TOKENIZERS or value in _known()[_place(key)]
    return MOVED.get(value, value) in _known().get(_place(key), ()) or value in _of_plugins()


def _place(key: str) -> str:
    """The group that a target stands in, or embedder.tokenizer."""
    return key.rpartition(f".{TARGET}")[0].rpartition(".")[2] if key.endswith(TARGET) else TOKENIZER


@cache
def _known() -> Mapping[str, frozenset[str]]:
    """`_place` -> the classes and functions that conf/ names there."""
    found: dict[str, set[str]] = {}
    for path in sorted(conf_dir().rglob("*.yaml")):
        group = path.relative_to(conf_dir()).parts[0]
        for key, value in _names_of_code(yaml.safe_load(path.read_text(encoding="utf-8")), f"{group}."):
            found.setdefault(_place(key), set()).add(value)
    return {group: frozenset(names) for group, names in found.items()}


@cache
def _of_plugins() -> frozenset[str]:
    return frozenset(entry.value.replace(":", ".") for entry in entry_points(group=PLUGINS))
