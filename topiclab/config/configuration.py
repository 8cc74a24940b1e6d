"""Configuration: the settings that a task receives, with types for the groups of fixed keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypedDict

from topiclab.settings import Adaptation, Metrics, Paths, SelectK, Split, Trainer, Vocabulary

# Keys that runs of earlier versions lack, with the behaviour of that time.
OLDER: dict[str, Any] = {
    "embed_text": "raw",  # an embedder read raw texts
    "input": "embedder",
    "teacher": {"name": "none"},
    "run": None,
    "reference": {"path": None, "text_column": "text", "words": None},
    "rating": {"name": "none"},
    "select_k": None,  # num_topics was a number
    "trust": False,
    "metrics": {"num_words": 10, "extra": []},
}


# Groups and single keys of every composed configuration; `reference` is one or the other.
GROUPS = (
    "data",
    "embedder",
    "teacher",
    "model",
    "objective",
    "mode",
    "rating",
    "logger",
    "task",
    "trainer",
    "paths",
    "select_k",
    "metrics",
)
VALUES = ("num_topics", "seed", "name", "embed_text", "input", "run", "reference", "trust")


class Grouped(TypedDict, total=False):
    """The groups that only the tasks of these names add."""

    describe: Mapping[str, Any]
    report: Mapping[str, Any]
    embed: Mapping[str, Any]
    finetune: Mapping[str, Any]


class Composed(Grouped):
    """A configuration as it is composed, of plain containers, whose values are each of their type.

    The fields are the keys of conf/config.yaml; a group with options has the keys of its option.
    """

    data: Mapping[str, Any]
    embedder: Mapping[str, Any]
    teacher: Mapping[str, Any]
    model: Mapping[str, Any]
    objective: Mapping[str, Any]
    mode: Mapping[str, Any]
    rating: Mapping[str, Any]
    logger: Mapping[str, Any]
    task: Mapping[str, Any]
    trainer: Mapping[str, Any]
    paths: Mapping[str, Any]
    select_k: Mapping[str, Any]
    metrics: Mapping[str, Any]
    reference: Any
    num_topics: int | Literal["auto"]
    seed: int
    name: str
    embed_text: str
    input: str
    run: str | None
    trust: bool
    optimized_metric: str | None


@dataclass(frozen=True)
class Configuration:
    """One cell, composed and checked. The fields are the keys of conf/config.yaml.

    data, embedder, teacher, model, objective, mode, rating, logger, task: the chosen option of each group,
    with its own keys.  select_k: None in runs older than this group; their num_topics is a number.
    trust: that a run named by run=, embedder.run= or teacher.run= may name code that conf/ does not hold.
    reference: a group, or for task=predict an image or a folder of images.
    own: the keys that conf/task/<name>.yaml adds.
    """

    data: Mapping[str, Any]
    embedder: Mapping[str, Any]
    teacher: Mapping[str, Any]
    model: Mapping[str, Any]
    objective: Mapping[str, Any]
    mode: Mapping[str, Any]
    rating: Mapping[str, Any]
    logger: Mapping[str, Any]
    task: Mapping[str, Any]
    trainer: Trainer
    paths: Paths
    num_topics: int | Literal["auto"]
    seed: int
    name: str
    embed_text: str
    input: str
    run: str | None
    trust: bool
    reference: Any
    select_k: SelectK | None
    metrics: Metrics
    own: Mapping[str, Any]

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> Configuration:
        """Build from a composed configuration or that of a finished run; ValueError names a missing key."""
        cfg = {**OLDER, **cfg, "trainer": Trainer.of(cfg["trainer"]), "paths": Paths.of(cfg["paths"])}
        if cfg["select_k"] is not None:
            cfg["select_k"] = SelectK.of(cfg["select_k"])
        cfg["metrics"] = Metrics.of(cfg["metrics"])
        known = [field.name for field in fields(cls) if field.name != "own"]
        if missing := [name for name in known if name not in cfg]:
            raise ValueError(f"the configuration lacks {', '.join(missing)}")
        return cls(
            **{name: cfg[name] for name in known},
            own={name: value for name, value in cfg.items() if name not in known},
        )

    def plain(self) -> dict[str, Any]:
        """The configuration as it was composed, in plain containers and values."""
        groups = {name: value for name, value in vars(self).items() if name != "own"}
        paths = {name: None if path is None else str(path) for name, path in vars(self.paths).items()}
        plain = {**groups, **self.own, "trainer": dict(vars(self.trainer)), "paths": paths}
        select_k = None if self.select_k is None else dict(vars(self.select_k))
        metrics = {"num_words": self.metrics.num_words, "extra": list(self.metrics.extra)}
        return plain | {"select_k": select_k, "metrics": metrics}

    @property
    def comparison(self) -> SelectK:
        """The group select_k; ValueError for a run older than this group."""
        if self.select_k is None:
            raise ValueError("this configuration has no group select_k; compose it again")
        return self.select_k

    @property
    def run_folder(self) -> Path:
        """The folder that run= names."""
        if self.run is None:
            raise ValueError(f"task={self.task['name']} reads a finished run; add run=<its folder>")
        return Path(self.run).expanduser()

    @property
    def adaptation(self) -> Adaptation | None:
        """mode.adapt with its settings; None where the embedder stays as it is."""
        if self.mode["adapt"] is None:
            return None
        return Adaptation.of({"method": self.mode["adapt"], **self.mode["adaptation"]})

    @property
    def vocabulary(self) -> Vocabulary:
        """data.vocabulary; ValueError for data that has none, such as images."""
        return Vocabulary.of(self.data.get("vocabulary", {}))

    @property
    def split(self) -> Split:
        return Split.of(self.data["split"])
