"""Declarations: facts that a yaml states about its model, objective, task, embedder or data source.

They are not options: they cannot be overridden, no class is built with them and no identity contains them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# uses: inputs and settings that a model can use; for an objective, whether it needs soft labels (USES)
# needs: a package that the model requires beyond ours, and the extra that installs it
# finds_num_topics: num_topics is the maximum that the model may keep
# logs: a task's losses and results go to logger=wandb
# is_encoder: the embedder has hidden states of every word, can be tuned, and can split its work among jobs
# is_divided: the data can come with an original split into train, val and test
DECLARATIONS = ("uses", "needs", "finds_num_topics", "logs", "is_encoder", "is_divided")
# vectors: of documents.  labels: through a classifier, in mode=supervised.  soft_labels: of a teacher, as the
# target or the start.  objective: objective=.  epochs: trainer.max_epochs, patience and similar keys.
# covariates: of the documents, unless model.prevalence=none.  timestamps: dates, unless model.period=none.
USES = ("vectors", "labels", "soft_labels", "objective", "epochs", "covariates", "timestamps")


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
    """True if the fit has a teacher's soft labels as its target, start or input."""
    model, of_model = _group(cfg, "model"), uses(_group(cfg, "model"))
    is_target = "objective" in of_model and "soft_labels" in uses(_group(cfg, "objective"))
    is_start = "soft_labels" in (model.get("init"), model.get("reads"))
    return is_target or ("soft_labels" in of_model and is_start)


def reads_vectors(cfg: Mapping[str, Any]) -> bool:
    """True if the fit reads vectors of documents: for its model, its teacher or the choice of num_topics."""
    is_auto = cfg.get("num_topics") == "auto"
    return is_auto or "vectors" in uses(_group(cfg, "model")) or reads_soft_labels(cfg)


def infers_from_vectors(cfg: Mapping[str, Any]) -> bool:
    """True if the model infers topics of a document from its vector, alone or beside its words."""
    model = _group(cfg, "model")
    reads = (model.get("encoder") or {}).get("reads", "embeddings")
    return "vectors" in uses(model) and reads in ("embeddings", "both")


def reads_teacher(cfg: Mapping[str, Any]) -> bool:
    """True if the fit reads a teacher's soft labels or its states."""
    return reads_soft_labels(cfg) or (cfg.get("input") == "teacher" and reads_vectors(cfg))


def unread(cfg: Mapping[str, Any]) -> dict[str, str]:
    """Groups and keys that the cell does not read, each with the reason.

    A task that lists its keys reads all of those.
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
        found["objective"] = f"{model} ignores the objective"
    return found


def overridden(overrides: Iterable[str]) -> Iterator[str]:
    """A fault for every override of a declaration."""
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if len(parts := key.split(".")) > 1 and set(parts[1:]) & set(DECLARATIONS):
            yield f"{key} describes {parts[0]}= and is not an option; choose another {parts[0]}"


def _group(cfg: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return cfg.get(name) or {}
