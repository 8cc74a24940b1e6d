"""Identity of a cell: the keys and values that its outcome depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from topiclab.config.declared import DECLARATIONS, unread
from topiclab.config.rules import flatten

# Keys that do not tell cells apart: places of files, logging, names, hardware. Another device or number of
# threads does change numbers, by rounding or random streams: runs/inputs.py records and compares them.
UNHASHED_KEYS = (
    "paths",
    "logger",
    "grid",
    "name",
    "optimized_metric",
    "rerun",
    "task",
    "trust",
    "trainer.device",
    "trainer.num_threads",
    "trainer.checkpoint_seconds",
    "embedder.devices",
    "embedder.batch_tokens",
    "rating.key_variable",
    "rating.num_threads",
    "rating.reply_seconds",
    "rating.retry_seconds",
    "rating.total_seconds",
    "teacher.batch_tokens",
    "data.title_column",
)
# Options of later versions, with the values that act as the versions before: a run without them is the same.
AS_BEFORE = {
    "data.clean": None,
    "data.missing": None,
    "data.delimiter": None,
    "data.timestamp_format": None,
    "data.covariate_columns": None,
    "embedder.long": "cut",
    "model.init_weight": 0.0,
    "report.language": "en",
    "model.has_shift": True,
    "metrics.num_words": 10,
    "metrics.extra": [],
}
UNHASHED_PREFIXES = tuple(f"{key}." for key in UNHASHED_KEYS)


def read_values(cfg: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Dotted keys and values that the cell reads, without declarations.

    asked: the configuration that declares what is read, if cfg is of an earlier version without declarations;
    None: cfg itself.
    """
    ignored = tuple(f"{key}." for key in unread(cfg if asked is None else asked))
    return {
        key: value
        for key, value in flatten(cfg)
        if not f"{key}.".startswith(ignored) and not set(key.split(".")[1:]) & set(DECLARATIONS)
    }


def scientific(cfg: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Dotted keys and values that the outcome of the cell depends on; asked as in `read_values`.

    A group that has a name is identified by it and by its options, never by the path of its class: a class
    may move to another file without changing any result.
    """
    wanted = (cfg.get("task") or {}).get("keys")
    named = {
        f"{group}._target_" for group, node in cfg.items() if isinstance(node, Mapping) and "name" in node
    }
    return {
        # auto reads what runs with utf-8 could read as they did
        key: "utf-8" if key == "data.encoding" and value == "auto" else value
        for key, value in read_values(cfg, asked).items()
        if not f"{key}.".startswith(UNHASHED_PREFIXES)
        and key not in named
        and (wanted is None or key.split(".")[0] in wanted)
        and not (key in AS_BEFORE and value == AS_BEFORE[key])
    }


def config_hash(cfg: Mapping[str, Any]) -> str:
    """sha256 over the scientific keys."""
    return hashlib.sha256(json.dumps(scientific(cfg), sort_keys=True).encode()).hexdigest()


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """'key (old -> new)' for every scientific key that differs; empty for the same cell.

    Keys that new does not read may differ.
    """
    before, after = scientific(old, new), scientific(new)
    return [
        f"{key} ({before.get(key, 'absent')} -> {after.get(key, 'absent')})"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, "absent") != after.get(key, "absent")
    ]
