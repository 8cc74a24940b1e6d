"""What every configuration value must be, by name: one table, and the checks that need several keys.

A name means the same thing wherever it stands (num_topics, dropout, lr): its rule is that of the whole dotted
key, else of the last part, else of a pattern. Defaults live in conf/ only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError


@dataclass(frozen=True)
class Rule:
    """A type with its limits, and the sentence that states them."""

    kind: Any
    says: str

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.kind)

    def accepts(self, value: Any) -> bool:
        try:
            self._adapter.validate_python(value, strict=True)
        except ValidationError:
            return False
        return True

    def optional(self) -> Rule:
        return Rule(self.kind | None, f"{self.says}, or null")


def one_of(*values: Any) -> Rule:
    return Rule(Literal[values], " or ".join("null" if value is None else str(value) for value in values))


TEXT = Rule(str, "text")
NAME = Rule(Annotated[str, Field(pattern=r"^[\w][\w.+-]*$")] | int, "a name of letters, digits and . _ + -")
FLAG = Rule(bool, "true or false")
COUNT = Rule(Annotated[int, Field(ge=1)], "a whole number from 1 on")
SEED = Rule(Annotated[int, Field(ge=0, lt=2**32)], "a whole number from 0 to 2^32 - 1")
NATURAL = Rule(Annotated[int, Field(ge=0)], "a whole number from 0 on")
POSITIVE = Rule(Annotated[float, Field(gt=0, allow_inf_nan=False)], "a number above 0")
WEIGHT = Rule(Annotated[float, Field(ge=0, allow_inf_nan=False)], "a number from 0 on")
SHARE = Rule(Annotated[float, Field(ge=0, lt=1)], "a number from 0 up to, not including, 1")
UNIT = Rule(Annotated[float, Field(ge=0, le=1)], "a number from 0 to 1")
DOCUMENTS = Rule(
    Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, le=1)],
    "a number of documents from 1 on, or a share of them such as 0.5",
)
SIZES = Rule(
    Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)], "a list of whole numbers from 1 on"
)
NAMES = Rule(list[str], "a list of names")

RULES: dict[str, Rule] = {
    # keys of the top level and of groups that are ours alone
    "num_topics": COUNT,
    "seed": SEED,
    "name": NAME,
    "run": TEXT.optional(),
    "grid.jobs": COUNT,
    "task.name": NAME,
    "task.keys": NAMES.optional(),
    "_target_": TEXT,
    "_partial_": FLAG,
    "_convert_": one_of("all", "none", "partial", "object"),
    "mode.name": one_of("zero_shot", "supervised", "unsupervised"),
    "mode.adapt": one_of(None, "simcse", "supcon"),
    "trainer.device": Rule(
        Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")], "auto, cpu, cuda, cuda:<n> or mps"
    ),
    "trainer.precision": one_of("auto", "fp32", "bf16"),
    "trainer.batch_size": COUNT.optional(),
    "trainer.max_epochs": COUNT.optional(),
    "trainer.gradient_clip": POSITIVE.optional(),
    "patience": COUNT.optional(),
    "devices": COUNT,
    "deterministic": FLAG,
    "logger.name": one_of("csv", "wandb", "none"),
    "logger.mode": one_of("online", "offline"),
    "entity": TEXT.optional(),
    "project": TEXT,
    "tags": NAMES,
    "paths.data": TEXT.optional(),
    "paths.outputs": TEXT,
    "paths.cache": TEXT,
    # data
    "sample": COUNT.optional(),
    "deduplicate": FLAG,
    "data.split.val": SHARE,
    "data.split.test": SHARE,
    "lowercase": FLAG,
    "tokenizer": one_of("regex", "jieba"),
    "stop_words": TEXT.optional(),
    "min_df": DOCUMENTS,
    "max_df": DOCUMENTS,
    "size": COUNT.optional(),
    "ngrams": Rule(
        Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)], "[shortest, longest]"
    ),
    # fields' standard terms, in every group
    "batch_size": COUNT,
    "max_epochs": COUNT,
    "lr": POSITIVE,
    "temperature": POSITIVE,
    "dropout": SHARE,
    "path": TEXT.optional(),
    # patterns, after the names they must not shadow
    "*_column": TEXT.optional(),
    "*dropout": SHARE,
    "*_weight": WEIGHT,
    "*temperature": POSITIVE,
    "*_lr": POSITIVE,
    "*_momentum": UNIT,
    "*epochs": COUNT,
    "num_*": COUNT,
    "*_dim": COUNT,
    "*_size": COUNT,
    "*_sizes": SIZES,
    "is_*": FLAG,
    "lora_*": COUNT,
}


def flatten(cfg: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf; a list is a leaf."""
    for name, value in cfg.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def rule_of(key: str) -> Rule | None:
    """The rule for a dotted key, or None when no name or pattern of the table covers it."""
    leaf = key.rsplit(".", 1)[-1]
    exact = RULES.get(key) or RULES.get(leaf)
    return exact or next(
        (rule for name, rule in RULES.items() if "*" in name and fnmatchcase(leaf, name)), None
    )


def validate(cfg: Mapping[str, Any]) -> list[str]:
    """Every fault of a plain configuration: the value, the rule, and the way out where the rule is not it."""
    faults = []
    for key, value in flatten(cfg):
        rule = rule_of(key)
        if rule is None and "." not in key:
            near = get_close_matches(key, cfg, n=1)
            faults.append(f"{key}: no such key{f'; did you mean {near[0]}?' if near else ''}")
        elif rule is not None and not rule.accepts(value):
            faults.append(f"{key}={_shown(value)} is refused: give {rule.says}")
    if faults:
        return faults  # the checks below may rely on types
    return [fault for check in CHECKS for fault in check(cfg)]


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _check_paths(cfg: Mapping[str, Any]) -> Iterator[str]:
    for key, value in flatten(cfg):
        given = key in ("data.path", "embedder.path", "teacher.path") and value
        if given and not Path(value).expanduser().exists():
            yield f"{key}={value}: nothing there, seen from {Path.cwd()}; give an existing path"


def _check_split(cfg: Mapping[str, Any]) -> Iterator[str]:
    split = cfg["data"].get("split") or {}
    if sum(split.values()) >= 1:
        shares = " and ".join(f"data.split.{name}={share}" for name, share in split.items())
        yield f"{shares} leave no documents to train on; lower one"


def _check_mode(cfg: Mapping[str, Any]) -> Iterator[str]:
    mode, adapt, embedder = cfg["mode"]["name"], cfg["mode"]["adapt"], cfg["embedder"]["name"]
    if adapt and mode == "zero_shot":
        yield f"mode.adapt={adapt} tunes the embedder, but mode=zero_shot keeps it; use mode=unsupervised"
    elif adapt == "supcon" and mode != "supervised":
        yield f"mode.adapt=supcon needs labels, but mode={mode}; use mode=supervised or mode.adapt=simcse"
    if adapt and embedder in ("lsa", "random"):
        yield f"mode.adapt={adapt} needs a transformer, not {embedder}; add embedder=minilm or mode.adaptnull"


def _check_task(cfg: Mapping[str, Any]) -> Iterator[str]:
    task, run = cfg["task"]["name"], cfg["run"]
    if task == "predict" and not run:
        yield "task=predict needs a fitted model; add run=<folder of a finished fit>"
    if run and not (Path(run).expanduser() / "result.json").is_file():
        yield f"run={run}: no result.json there; give the folder of a finished fit"


def _check_objective(cfg: Mapping[str, Any]) -> Iterator[str]:
    objective, teacher = cfg["objective"]["name"], cfg.get("teacher", {}).get("name", "none")
    if objective in ("dsl", "mix") and teacher == "none":
        yield f"objective={objective} needs soft labels, but teacher=none; add teacher=neighbours or use bow"


CHECKS: list[Callable[[Mapping[str, Any]], Iterator[str]]] = [
    _check_paths,
    _check_split,
    _check_mode,
    _check_task,
    _check_objective,
]
