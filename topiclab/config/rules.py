"""Rules for every configuration value: from the class that takes it, else by name from one table.

In a group whose `_target_` names a class, the annotations of its constructor are the rules. In the table a
name means the same thing everywhere: a rule is found by the end of the dotted key. The table holds no key
that a class takes. Defaults live in conf/ only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from topiclab.config.declared import USES
from topiclab.config.signatures import inner_class, kinds_of
from topiclab.limits import Betas, Count, Natural, Positive, Real, Seed, Share, Unit, Weight

SAID = {bool: "true or false", str: "text", int: "a whole number", list[str]: "a list such as [one,two]"}


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


@cache  # equal types share an adapter: building one costs more than all its checks
def rule_of_type(kind: Any) -> Rule | None:
    """The rule that an annotation states; None where a configuration cannot hold such a value."""
    if inner_class(kind) is not None:
        return Rule(dict[str, Any], "a mapping")
    if kind is float:
        kind = Real
    says = _says(kind)
    return None if says is None else Rule(kind, says)


def _says(kind: Any) -> str | None:
    """The sentence for a type: its description, its choices or its name."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        said = [part.description for part in parts[1:] if isinstance(part, FieldInfo) and part.description]
        return said[-1] if said else _says(parts[0])
    if origin is Literal:
        return " or ".join("null" if value is None else str(value) for value in parts)
    if origin in (Union, UnionType):
        told = [_says(part) for part in parts if part is not NoneType]
        joined = " or ".join(map(str, told)) + (", or null" if NoneType in parts else "")
        return None if None in told else joined
    return next((says for plain, says in SAID.items() if plain == kind), None)


def _rule(kind: Any) -> Rule:
    rule = rule_of_type(kind)
    assert rule is not None
    return rule


def one_of(*values: Any) -> Rule:
    return _rule(Literal[values])


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("values repeat")
    return values


TEXT = _rule(str)
NAME = Rule(Annotated[str, Field(pattern=r"^\w[\w.+-]*$")] | int, "a name of letters, digits and . _ + -")
NAMES = _rule(list[str])
KINDS = Rule(
    Annotated[list[Literal["label", "title", "keyword"]], Field(min_length=1), AfterValidator(_distinct)],
    "a list of some of label, title, keyword",
)
FLAG = _rule(bool)
COUNT = _rule(Count)
NATURAL = _rule(Natural)
SEED = _rule(Seed)
POSITIVE = _rule(Positive)
WEIGHT = _rule(Weight)
UNIT = _rule(Unit)
SHARE = _rule(Share)
BETAS = _rule(Betas)
DOCUMENTS = Rule(
    Count | Annotated[float, Field(gt=0, le=1)],
    "a whole number of documents, or a share of them such as 0.5",
)
TOPICS = Rule(Count | Literal["auto"], "a whole number from 1 on, or auto")
CANDIDATES = Rule(
    Annotated[
        list[Annotated[int, Field(ge=2)]],
        Field(min_length=2),
        AfterValidator(_distinct),
    ],
    "at least two different whole numbers from 2 on, such as [10,20,40]",
)
JOBS = Rule(Count | Literal["auto"], "a whole number from 1 on, or auto")
PAIR = Rule(Annotated[list[Count], Field(min_length=2, max_length=2)], "a pair such as [1,2]")
STOP_WORDS = Rule(
    str | Annotated[list[str], Field(min_length=1)],
    "a language, none, a file with one word a line, or a list of these and of words: [english,dear,team]",
)
DEVICE = Rule(
    Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")], "auto, cpu, cuda, cuda:<n> or mps"
)


DELIMITER = Rule(
    Annotated[str, Field(pattern=r"^(comma|semicolon|tab|pipe|[^\w\s\"])$")],
    "comma, semicolon, tab, pipe or another sign",
)
CLEANED = Rule(
    Annotated[list[Literal["links", "markup", "entities", "emails"]], AfterValidator(_distinct)],
    "a list of some of links, markup, entities, emails",
)
COLUMNS = Rule(
    Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)],
    "a list of columns such as [year,party]",
)
MISSING = Rule(list[str], "a list of values such as [nan,NA]")


RULES: dict[str, Rule] = {
    "num_topics": TOPICS,
    "planted.num_topics": COUNT,
    "seed": SEED,
    "name": NAME,
    "run": TEXT.optional(),
    "trust": FLAG,
    "rerun": FLAG,
    "optimized_metric": TEXT.optional(),
    "input": one_of("embedder", "teacher"),
    "embed_text": one_of("raw", "bow"),
    "grid.jobs": JOBS,
    "candidates": CANDIDATES,
    "num_seeds": Rule(Annotated[int, Field(ge=2)], "a whole number from 2 on"),
    "task.keys": NAMES.optional(),
    "logs": FLAG,
    "uses": Rule(list[Literal[USES]], f"a list of some of {', '.join(USES)}"),
    "needs.package": TEXT,
    "needs.extra": TEXT,
    "finds_num_topics": FLAG,
    "_target_": TEXT,
    "_partial_": FLAG,
    "_convert_": one_of("all", "none", "partial", "object"),
    "mode.name": one_of("zero_shot", "supervised", "unsupervised"),
    "mode.adapt": one_of(None, "simcse", "supcon"),
    "paths.outputs": TEXT,
    "paths.cache": TEXT,
    "paths.data": TEXT.optional(),
    # trainer: null leaves the choice to the model
    "trainer.device": DEVICE,
    "trainer.precision": one_of("auto", "fp32", "bf16"),
    "trainer.devices": COUNT,
    "trainer.batch_size": COUNT.optional(),
    "trainer.max_epochs": COUNT.optional(),
    "gradient_clip": POSITIVE.optional(),
    "trainer.num_threads": COUNT.optional(),
    "patience": COUNT.optional(),
    "checkpoint_seconds": WEIGHT,
    "deterministic": FLAG,
    # reference: a group of keys for fits; an image or a folder of images for task=predict
    "reference": TEXT.optional(),
    "num_samples": COUNT,
    "reference.text_column": TEXT,
    "reference.words": TEXT.optional(),
    "rating.name": one_of("none", "local", "endpoint"),
    # description
    "describe.num_topics": COUNT.optional(),
    "membership": one_of("main", "soft"),
    "domain_words": NAMES,
    "domain_evenness": UNIT,
    "domain_share": UNIT,
    "num": COUNT,
    "diversity": UNIT,
    "labeller": one_of("keyword", "model"),
    "labels.prompt": Rule(Annotated[str, Field(pattern=r"\{terms\}")], "a text that contains {terms}"),
    "time.unit": one_of("auto", "day", "week", "month", "quarter", "year", "decade"),
    "layout.method": one_of("umap", "tsne"),
    "layout.sample": COUNT,
    "min_dist": UNIT,
    "page_documents": COUNT,
    "report.language": one_of("en", "zh"),
    # metrics of a fit
    "metrics.num_words": Rule(Annotated[int, Field(ge=2, le=100)], "a whole number from 2 to 100"),
    "metrics.extra": Rule(
        Annotated[list[Literal["kmeans", "intrusion", "embedding", "probe"]], AfterValidator(_distinct)],
        "a list of some of kmeans, intrusion, embedding, probe",
    ),
    # logger
    "logger.name": one_of("csv", "wandb", "none"),
    "logger.mode": one_of("online", "offline"),
    "project": TEXT,
    "entity": TEXT.optional(),
    "tags": NAMES,
    "artifacts": Rule(
        Annotated[list[Literal["figures", "page", "model"]], AfterValidator(_distinct)],
        "a list of some of figures, page, model",
    ),
    # data
    "source": TEXT,
    "fingerprint": TEXT.optional(),
    "sample": COUNT.optional(),
    "sample_seed": SEED,
    "deduplicate": FLAG,
    "split.val": SHARE.optional(),
    "split.test": SHARE.optional(),
    "lowercase": FLAG,
    "vocabulary.tokenizer": one_of("regex", "jieba"),
    "token_pattern": TEXT.optional(),
    "stop_words": STOP_WORDS,
    "min_df": DOCUMENTS,
    "max_df": DOCUMENTS,
    "vocabulary.size": COUNT.optional(),
    "ngrams": PAIR,
    "path": TEXT.optional(),
    "encoding": TEXT,
    "delimiter": DELIMITER.optional(),
    "clean": CLEANED.optional(),
    "missing": MISSING.optional(),
    "timestamp_format": TEXT.optional(),
    "corpora": NAMES,
    "covariate_columns": COLUMNS.optional(),
    "subset": one_of("all", "train", "test"),
    "remove": NAMES,
    "data.label": one_of("category", "archive"),
    "categories": NAMES.optional(),
    "match": one_of("primary", "any"),
    "years": PAIR.optional(),
    "words_per_topic": COUNT,
    "doc_length": POSITIVE,
    "concentration": POSITIVE,
    "modality": one_of("text", "images", "tokens"),
    "data.size": PAIR.optional(),
    "channels": one_of(1, 3, None),
    "crop": COUNT,
    "on_corrupt": one_of("refuse", "skip"),
    "embedder.devices": COUNT.optional(),  # the class also takes device names
    "embed.part": NATURAL.optional(),
    # language models: chat, pretraining, fine-tuning
    "prompt": TEXT.optional(),
    "max_length": COUNT.optional(),
    "chat_template": FLAG,
    "chat.system": TEXT.optional(),
    "chat.temperature": WEIGHT,
    "max_new_tokens": COUNT,
    "top_p": Rule(Annotated[float, Field(gt=0, le=1)], "a share above 0, up to 1"),
    "min_p": SHARE,
    "repetition_penalty": POSITIVE,
    "lr": POSITIVE,
    "betas": BETAS,
    "weight_decay": WEIGHT,
    "passes": COUNT,
    "pretrain.passes": POSITIVE,
    "max_iter": COUNT,
    "top_k": COUNT.optional(),
    "floor": SHARE,
    "decay": SHARE,
    "max_bytes": COUNT,
    "num_forced_words": COUNT.optional(),
    "tokens_per_step": COUNT,
    "rows_per_device": COUNT,
    "pretrain.length": COUNT.optional(),
    "packing": one_of("stream", "bestfit", "pad"),
    "masks_documents": FLAG,
    "eval_steps": COUNT,
    "eval_rows": COUNT,
    "z_loss": WEIGHT,
    "optimizer.name": one_of("adamw", "muon"),
    "optimizer.momentum": UNIT,
    "eps": POSITIVE,
    "schedule.kind": one_of("wsd", "cosine", "constant"),
    "schedule.warmup": SHARE,
    "pretrain.samples": NAMES,
    "finetune.path": TEXT.optional(),
    "finetune.length": COUNT.optional(),
    "kinds": KINDS,
    "replay": SHARE,
    "rows_per_step": COUNT,
    "masked_share": UNIT,
    "hard_share": UNIT,
    "replay_length": COUNT,
    "prompts": NAMES,
    "span": COUNT.optional(),
    "window": COUNT,
    "keywords.min_df": COUNT,
    "keywords.num_neighbours": COUNT,
    "own": UNIT,
    "prior_power": UNIT,
    "keywords.perplexity": POSITIVE,
    # patterns: the first match applies
    "*_column": TEXT.optional(),
    "*dropout": SHARE,
    "*_weight": WEIGHT,
    "*temperature": POSITIVE,
    "*_lr": POSITIVE,
    "*_sample": COUNT,
    "is_*": FLAG,
    "has_*": FLAG,
    "num_*": COUNT,
    "lora_*": COUNT,
    "*epochs": COUNT,
    "*_size": COUNT,
}


def flatten(cfg: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf; a list is a leaf."""
    for name, value in cfg.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def entry_of(key: str) -> str | None:
    """The entry of the table for a dotted key: its longest ending there, else a pattern, else None."""
    parts = key.split(".")
    for start in range(len(parts)):
        if (ending := ".".join(parts[start:])) in RULES:
            return ending
    return next((name for name in RULES if "*" in name and fnmatchcase(parts[-1], name)), None)


@cache
def rules_of_class(target: str) -> dict[str, Rule]:
    """Rules of the keys that a class takes, by the key inside its group, such as encoder.dropout."""
    rules = {key: rule_of_type(kind) for key, kind in kinds_of(target).items()}
    return {key: rule for key, rule in rules.items() if rule is not None}


def ruled(
    cfg: Mapping[str, Any], prefix: str = "", group: str = "", own: Mapping[str, Rule] | None = None
) -> Iterator[tuple[str, Any, Rule | None]]:
    """(dotted key, value, rule) of every leaf.  own: rules of the class that the enclosing group names."""
    if isinstance(target := cfg.get("_target_"), str):
        group, own = prefix, rules_of_class(target)
    for name, value in cfg.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from ruled(value, f"{key}.", group, own)
        else:
            yield key, value, (own or {}).get(key.removeprefix(group)) or _in_table(key)


def _in_table(key: str) -> Rule | None:
    name = entry_of(key)
    return None if name is None else RULES[name]


def refused_values(cfg: Mapping[str, Any]) -> list[str]:
    """A sentence for every value that breaks its rule, and for every top-level key that has none."""
    faults = []
    for key, value, rule in ruled(cfg):
        if "." not in key and key not in RULES:
            near = get_close_matches(key, cfg.keys() - {key}, n=1)
            faults.append(f"{key}: no such key{f'; did you mean {near[0]}?' if near else ''}")
        elif rule is not None and not rule.accepts(value):
            shown = value if isinstance(value, str) else json.dumps(value)
            faults.append(f"{key}={shown} is refused: give {rule.says}")
    return faults
