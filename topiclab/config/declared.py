"""Declarations: what the yaml of a model, objective, task, embedder or data source says of itself.

They are no options: nobody overrides them, no class is built with them and no identity holds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# uses: what a model can read or mind; of an objective, whether it needs soft labels (USES)
# needs: the package of a model beyond ours, and the extra that brings it
# finds_num_topics: num_topics is the most that the model may keep
# logs: a task's losses and results go to logger=wandb
# is_encoder: an embedder has a hidden state at every word, can be tuned, and its work shared
# is_divided: data may come divided into train, val and test by their makers
DECLARATIONS = ("uses", "needs", "finds_num_topics", "logs", "is_encoder", "is_divided")
# vectors: of documents.  labels: through a classifier, in mode=supervised.  soft_labels: a teacher's, as the
# target or the start.  objective: objective=.  epochs: trainer.max_epochs, patience and their like.
USES = ("vectors", "labels", "soft_labels", "objective", "epochs")


def conf_dir() -> Path:
    """The folder of yaml groups: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/config.yaml in {package} or beside it; install topiclab again")


def models_of(modality: str) -> list[str]:
    """Options of model= whose yaml declares this modality itself."""
    folder = conf_dir() / "model"
    is_one = re.compile(rf"^modality: {modality}\b", re.MULTILINE)
    paths = [path for path in sorted(folder.rglob("*.yaml")) if is_one.search(path.read_text("utf-8"))]
    return [path.relative_to(folder).with_suffix("").as_posix() for path in paths]


def uses(group: Mapping[str, Any]) -> frozenset[str]:
    """Members of USES that the group declares; all of them for a group without the declaration."""
    declared = group.get("uses")
    return frozenset(USES if declared is None else declared)


def reads_soft_labels(cfg: Mapping[str, Any]) -> bool:
    """Whether the fit has a teacher's soft labels as its target, its start or its input."""
    model, of_model = _group(cfg, "model"), uses(_group(cfg, "model"))
    is_target = "objective" in of_model and "soft_labels" in uses(_group(cfg, "objective"))
    is_start = "soft_labels" in (model.get("init"), model.get("reads"))
    return is_target or ("soft_labels" in of_model and is_start)


def reads_vectors(cfg: Mapping[str, Any]) -> bool:
    """Whether the fit reads vectors of documents: its model, its teacher or the choice of num_topics."""
    is_auto = cfg.get("num_topics") == "auto"
    return is_auto or "vectors" in uses(_group(cfg, "model")) or reads_soft_labels(cfg)


def reads_teacher(cfg: Mapping[str, Any]) -> bool:
    """Whether the fit reads a teacher's soft labels or its states."""
    return reads_soft_labels(cfg) or (cfg.get("input") == "teacher" and reads_vectors(cfg))


def unread(cfg: Mapping[str, Any]) -> dict[str, str]:
    """Groups and keys that the cell does not read, each with the reason.

    A task that lists its keys reads those, and all of them.
    """
    if _group(cfg, "task").get("keys") is not None:
        return {}
    model = f"model={_group(cfg, 'model').get('name')}"
    found: dict[str, str] = {}
    if cfg.get("num_topics") != "auto":
        found["select_k"] = "num_topics is given"
    if not reads_vectors(cfg):
        keys = ("embedder", "embed_text", "input", "mode.adapt", "mode.adaptation")
        found |= dict.fromkeys(keys, f"{model} reads no vectors")
    if not reads_teacher(cfg):
        objective = _group(cfg, "objective").get("name")
        found["teacher"] = f"{model} with objective={objective} reads no teacher"
    if "objective" not in uses(_group(cfg, "model")):
        found["objective"] = f"{model} minds no objective"
    return found


def overridden(overrides: Iterable[str]) -> Iterator[str]:
    """A fault for every override of a declaration."""
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if len(parts := key.split(".")) > 1 and set(parts[1:]) & set(DECLARATIONS):
            yield f"{key} says what {parts[0]}= is, and is not an option; choose another {parts[0]}"


def _group(cfg: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return cfg.get(name) or {}
