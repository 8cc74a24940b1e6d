"""Inputs of a cell: the files that its configuration names or its task read, and the hardware it used."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from topiclab.config.configuration import Composed
from topiclab.config.declared import reads_vectors, uses
from topiclab.config.identity import read_values
from topiclab.config.rules import ruled
from topiclab.machine import num_cores
from topiclab.reads import Reads
from topiclab.runs.contents import Input, content_of, difference
from topiclab.runs.files import own_files
from topiclab.runs.outcome import Hardware, Recorded
from topiclab.settings import data_folder

# Groups that name places of results, not of what is read; "_target_" is a class.
NOT_READ = ("paths", "logger", "grid", "task", "name")
# Keys whose value is a place also if it is a single word, such as data.path=posts.
PLACES = ("path", "run", "reference", "words", "adapter")
AN_EXAMPLE = "folder/with a file.txt"  # which a rule for free text accepts


def named_inputs(cfg: Composed) -> dict[str, Input]:
    """Path -> key and content of every file or folder that a key of the cell names and that exists.

    A finished run is its result.json, which holds the digests of its files.
    """
    kept = kept_digests(cfg)
    found: dict[str, Input] = {}
    for key, name in _places(cfg):
        path = Path(name).expanduser()
        if (path / "result.json").is_file():
            name, path = f"{name}/result.json", path / "result.json"
            if not _has_digests(path):  # a run of an earlier version: its files themselves
                for file in own_files(path.parent):
                    found.setdefault(str(file), {"key": key, "below": None, **content_of(file, kept)})
        found.setdefault(name, {"key": key, "below": None, **content_of(path, kept)})
    return found


def noted_inputs(cfg: Composed, reads: Reads, named: Mapping[str, Input]) -> dict[str, Input]:
    """Path -> content of what the sources of a task read besides the named inputs.

    A file that changed after it was read has the digest null, which no file matches.
    """
    kept = kept_digests(cfg)
    before = {Path(name).expanduser().absolute() for name in named}
    found: dict[str, Input] = {}
    for read, (size, mtime_ns) in reads.items():
        if read.path.absolute() in before or not read.path.exists():
            continue
        facts: Input = {"key": "data", "below": read.below, **content_of(read.path, kept)}
        if read.path.is_file() and (facts["bytes"], facts["mtime_ns"]) != (size, mtime_ns):
            facts["bytes"], facts["mtime_ns"], facts["sha256"] = size, mtime_ns, None
        found[str(read.path)] = facts
    return found


def changed_inputs(recorded: Mapping[str, Input], cfg: Composed) -> Iterator[str]:
    """'<key>=<path> <what changed>' for every recorded input that the same cell would now find different."""
    kept = kept_digests(cfg)
    for name, facts in recorded.items():
        path = Path(name).expanduser()
        if (below := facts["below"]) is not None:
            path = Path(cfg["paths"].get("data") or data_folder(), below)
        if change := difference(path, facts, kept):
            yield f"{facts['key']}={path} {change}"


def hardware_of(cfg: Composed, device: str) -> Hardware:
    """Kind of the device, number of threads and precision that a task has used, once torch is imported.

    device: as provenance names it. It is null for a fit that computes nothing there.
    """
    trainer = cfg["trainer"]
    kind = device.partition(":")[0]
    return {
        "device": kind if _uses_device(cfg) else None,
        "num_threads": trainer.get("num_threads") or num_cores(),
        "precision": _precision(cfg, kind),
    }


def changed_hardware(used: Hardware | None, cfg: Composed) -> Iterator[str]:
    """'trainer.<key> has changed from <then> to <now>' for another device or number of threads than was used.

    device=auto and num_threads=null take whatever was used.
    """
    if used is None:  # a run of an earlier version
        return
    trainer = cfg["trainer"]
    kind, num_threads = trainer["device"].partition(":")[0], trainer.get("num_threads")
    if used["device"] is not None and kind not in ("auto", used["device"]):
        yield f"trainer.device has changed from {used['device']} to {trainer['device']}"
    if num_threads is not None and num_threads != used["num_threads"]:
        yield f"trainer.num_threads has changed from {used['num_threads']} to {num_threads}"


def changes_since(recorded: Recorded, cfg: Composed) -> list[str]:
    """Return '<key> has changed ...' for all that the cell would read or use differently now."""
    inputs, hardware = recorded.get("inputs", {}), recorded.get("hardware")
    return [*changed_inputs(inputs, cfg), *changed_hardware(hardware, cfg)]


def kept_digests(cfg: Composed) -> Path:
    """The folder of digests that runs share."""
    return Path(cfg["paths"]["cache"], "digests")


def _places(cfg: Composed) -> Iterator[tuple[str, str]]:
    """(key, value) of every value that the cell reads and that names an existing file or folder."""
    wanted = (cfg.get("task") or {}).get("keys")
    read = read_values(cfg)
    for key, value, rule in ruled(cfg):
        group, last = key.split(".")[0], key.rpartition(".")[2]
        if key not in read or group in NOT_READ or last == "_target_":
            continue
        if wanted is not None and group not in (*wanted, "run"):
            continue
        values = value if isinstance(value, list) else [value]
        if rule is not None and not rule.accepts([AN_EXAMPLE] if isinstance(value, list) else AN_EXAMPLE):
            continue
        for name in values:
            if isinstance(name, str) and _names_a_place(name, last):
                yield key, name


def _names_a_place(name: str, key: str) -> bool:
    if not (key in PLACES or os.sep in name or Path(name).suffix):
        return False
    try:
        return bool(name) and Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long for a path, a null byte, no such home
        return False


def _has_digests(path: Path) -> bool:
    try:
        return "files" in json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False


def _uses_device(cfg: Composed) -> bool:
    return cfg["task"]["name"] != "fit" or reads_vectors(cfg) or "epochs" in uses(cfg["model"])


def _precision(cfg: Composed, kind: str) -> str:
    """The precision that trainer.precision meant: topic models choose bf16 on CUDA only."""
    wanted = cfg["trainer"].get("precision", "auto")
    if wanted != "auto" or "torch" not in sys.modules:
        return "fp32" if wanted == "auto" else wanted
    from topiclab.device import resolve_precision

    is_topic_model = cfg["task"]["name"] == "fit" and kind != "cuda"
    return "fp32" if is_topic_model else resolve_precision(wanted, kind)
