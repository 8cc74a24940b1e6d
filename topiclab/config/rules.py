"""What every configuration value must be, by name, in one table.

A name means the same thing wherever it stands (num_topics, dropout, lr): a rule is found by the end of the
dotted key, and what a group has for itself is written with the group. Defaults live in conf/ only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError


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


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("values repeat")
    return values


_Count = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(ge=0, lt=1)]

TEXT = Rule(str, "text")
NAME = Rule(Annotated[str, Field(pattern=r"^\w[\w.+-]*$")] | int, "a name of letters, digits and . _ + -")
NAMES = Rule(list[str], "a list such as [one,two]")
KINDS = Rule(
    Annotated[list[Literal["label", "title", "keyword"]], Field(min_length=1), AfterValidator(_distinct)],
    "a list of some of label, title, keyword",
)
FLAG = Rule(bool, "true or false")
COUNT = Rule(_Count, "a whole number from 1 on")
NATURAL = Rule(Annotated[int, Field(ge=0)], "a whole number from 0 on")
SEED = Rule(Annotated[int, Field(ge=0, lt=2**32)], "a whole number from 0 to 2^32 - 1")
REAL = Rule(Annotated[float, Field(allow_inf_nan=False)], "a number")
POSITIVE = Rule(Annotated[float, Field(gt=0, allow_inf_nan=False)], "a number above 0")
WEIGHT = Rule(Annotated[float, Field(ge=0, allow_inf_nan=False)], "a number from 0 on")
UNIT = Rule(Annotated[float, Field(ge=0, le=1)], "a number from 0 to 1")
SHARE = Rule(_Share, "a number from 0 on and below 1")
BETAS = Rule(
    Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)], "two below 1"
)
DOCUMENTS = Rule(
    _Count | Annotated[float, Field(gt=0, le=1)],
    "a whole number of documents, or a share of them such as 0.5",
)
SIZES = Rule(Annotated[list[_Count], Field(min_length=1)], "a list such as [800,800]")
TOPICS = Rule(_Count | Literal["auto"], "a whole number from 1 on, or auto")
CANDIDATES = Rule(
    Annotated[
        list[Annotated[int, Field(ge=2)]],
        Field(min_length=2),
        AfterValidator(_distinct),
    ],
    "at least two different whole numbers from 2 on, such as [10,20,40]",
)
JOBS = Rule(_Count | Literal["auto"], "a whole number from 1 on, or auto")
PAIR = Rule(Annotated[list[_Count], Field(min_length=2, max_length=2)], "a pair such as [1,2]")
DEVICE = Rule(
    Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")], "auto, cpu, cuda, cuda:<n> or mps"
)


RULES: dict[str, Rule] = {
    "num_topics": TOPICS,
    "planted.num_topics": COUNT,
    "seed": SEED,
    "name": NAME,
    "run": TEXT.optional(),
    "input": one_of("embedder", "teacher"),
    "embed_text": one_of("raw", "bow"),
    "grid.jobs": JOBS,
    "candidates": CANDIDATES,
    "num_seeds": Rule(Annotated[int, Field(ge=2)], "a whole number from 2 on"),
    "task.keys": NAMES.optional(),
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
    # reference: of fits a group of keys, of task=predict an image or a folder of them
    "reference": TEXT.optional(),
    "num_samples": COUNT,
    "reference.text_column": TEXT,
    "reference.words": TEXT.optional(),
    # rating
    "rating.name": one_of("none", "local", "endpoint"),
    "rating.path": TEXT,
    "rating.prompt": Rule(Annotated[str, Field(pattern=r"\{words\}")], "a text that holds {words}"),
    "rating.url": Rule(
        Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$")],
        "an address such as https://api.openai.com/v1, without a password or a query",
    ),
    "rating.model": TEXT,
    "key_variable": Rule(
        Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], "the name of an environment variable, not a key"
    ).optional(),
    "attempts": COUNT,
    "retry_seconds": WEIGHT,
    # description
    "describe.num_topics": COUNT.optional(),
    "membership": one_of("main", "soft"),
    "domain_words": NAMES,
    "domain_evenness": UNIT,
    "domain_share": UNIT,
    "num": COUNT,
    "diversity": UNIT,
    "labeller": one_of("keyword", "model"),
    "labels.prompt": Rule(Annotated[str, Field(pattern=r"\{terms\}")], "a text that holds {terms}"),
    "time.unit": one_of("auto", "day", "week", "month", "quarter", "year", "decade"),
    "layout.method": one_of("umap", "tsne"),
    "layout.sample": COUNT,
    "min_dist": UNIT,
    "page_documents": COUNT,
    # logger
    "logger.name": one_of("csv", "wandb", "none"),
    "logger.mode": one_of("online", "offline"),
    "project": TEXT,
    "entity": TEXT.optional(),
    "tags": NAMES,
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
    "stop_words": TEXT,
    "min_df": DOCUMENTS,
    "max_df": DOCUMENTS,
    "vocabulary.size": COUNT.optional(),
    "ngrams": PAIR,
    "path": TEXT.optional(),
    "encoding": TEXT,
    "corpora": NAMES,
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
    # embedder
    "model_id": TEXT,
    "package": TEXT,
    "revision": TEXT.optional(),
    "pooling": one_of("mean", "lasttoken", "cls"),
    "normalize": FLAG,
    "prompt": TEXT.optional(),
    "max_length": COUNT.optional(),
    "truncate_dim": COUNT.optional(),
    "layer": COUNT.optional(),
    "whitening": FLAG,
    "max_terms": COUNT,
    "embedder.tokenizer": TEXT,
    "batch_tokens": COUNT.optional(),
    "embedder.devices": COUNT.optional(),
    "embed.part": NATURAL.optional(),
    "dim": COUNT,
    # teacher
    "teacher.prompt": TEXT,
    "chat_template": FLAG,
    "multi_token": one_of("drop", "first_subtoken", "exact"),
    "teacher.words": one_of("alone", "template", "centroid"),
    "teacher.template": Rule(Annotated[str, Field(pattern=r"\{word\}")], "a text with {word} in it"),
    "centring": one_of("raw", "centred", "zscore"),
    "teacher.prior": one_of("uniform", "frequency"),
    "space": one_of("ppmi", "lsa"),
    "teacher.label": one_of("neighbours", "similarity"),
    # mini-LLM
    "chat.system": TEXT.optional(),
    "chat.temperature": WEIGHT,
    "max_new_tokens": COUNT,
    "top_p": Rule(Annotated[float, Field(gt=0, le=1)], "a share above 0, up to 1"),
    "min_p": SHARE,
    "repetition_penalty": POSITIVE,
    # model and objective
    "lr": POSITIVE,
    "betas": BETAS,
    "weight_decay": WEIGHT,
    "kl_warmup": UNIT,
    "free_bits": WEIGHT,
    "prior_variance": POSITIVE.optional(),
    "min_steps": NATURAL,
    "reads": one_of("embeddings", "bow", "codes", "both"),
    "model.reads": one_of("embeddings", "soft_labels"),
    "theta_samples": NATURAL,
    "activation": one_of("relu", "softplus", "gelu", "tanh", "leakyrelu"),
    "passes": COUNT,
    "pretrain.passes": POSITIVE,
    "thinning": COUNT,
    "iterations": COUNT,
    "chunksize": COUNT.optional(),
    "max_iter": COUNT,
    "n_init": COUNT,
    "spherical": FLAG,
    "model.alpha": one_of("symmetric", "asymmetric", "auto"),
    "model.eta": POSITIVE.optional(),
    "objective.weight": POSITIVE,
    "length_power": UNIT,
    "top_k": COUNT.optional(),
    "top_share": Rule(Annotated[float, Field(gt=0, le=1)], "a share above 0, up to 1").optional(),
    "masking": one_of("drop", "zero_logit"),
    "bow_share": UNIT,
    "objective.loss": one_of("kl", "ce", "raw_logit_ce"),
    "floor": SHARE,
    "init": one_of("kmeans", "soft_labels", "random"),
    "init_epochs": NATURAL,
    "init_neighbours": NATURAL,
    "readout": one_of("usage", "beta"),
    "standardize": FLAG,
    "model.batch_size": COUNT.optional(),
    "theta_from": one_of("potential", "column_sums", "batch_plan"),
    "plan_batch": COUNT,
    "tolerance": POSITIVE,
    "init_length": POSITIVE,
    "sharpness": POSITIVE,
    "bag": one_of("frequencies", "softmax"),
    "neighbours": NATURAL,
    "smoothings": COUNT,
    "documents_per_cluster": COUNT,
    "most_clusters": COUNT,
    "min_topic_size": COUNT,
    "outliers": one_of("own_topic", "reassign", "soft"),
    "input_norm": one_of("none", "k", "l1", "log1p"),
    # codebooks and what is drawn from them
    "expansion": COUNT,
    "regions": one_of("codes", "quadrant", "position"),
    "inference": one_of("grid", "bag"),
    "codebook.assignment": one_of("nearest", "random"),
    "model.words": one_of("type", "token", "contextual_type"),
    "subtokens": one_of("mean", "last", None),
    "max_occurrences": COUNT,
    "codebook.update": one_of("ema", "gradient"),
    "codebook.init": one_of("kmeans", "uniform"),
    "reduce": one_of("mean", "sum"),
    "code_weights": one_of("binary", "inverse_distance", "softmax"),
    "expand_at": one_of("train", "infer"),
    "codebook.warmup": SHARE,
    "decay": SHARE,
    "restart_below": WEIGHT,
    "commitment": WEIGHT,
    "width": COUNT,
    "prior.kind": one_of("pixelcnn", "transformer", "none"),
    "prefix_length": COUNT,
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
    # shape of a mini-LLM
    "head_dim": Rule(Annotated[int, Field(ge=2, multiple_of=2)], "an even number from 2 on"),
    "vocab_size": Rule(Annotated[int, Field(ge=272, le=2**16)], "a whole number from 272 to 65536"),
    "context_length": COUNT,
    "rope_theta": POSITIVE,
    # patterns: the first that fits
    "*_column": TEXT.optional(),
    "*dropout": SHARE,
    "*_weight": WEIGHT,
    "*_smoothing": WEIGHT,
    "*temperature": POSITIVE,
    "*_sharpness": POSITIVE,
    "*_lr": POSITIVE,
    "*_eps": POSITIVE,
    "*_sample": COUNT,
    "*_momentum": UNIT,
    "*_logvar": REAL,
    "*_concentration": POSITIVE,
    "word_init": one_of("random", "embedder"),
    "*_norm": FLAG,
    "is_*": FLAG,
    "has_*": FLAG,
    "num_*": COUNT,
    "lora_*": COUNT,
    "*epochs": COUNT,
    "*_dim": COUNT,
    "*_size": COUNT,
    "*_dims": SIZES,
}


def flatten(cfg: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf; a list is a leaf."""
    for name, value in cfg.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def rule_of(key: str) -> Rule | None:
    """The rule of a dotted key: of its longest ending in the table, else of a pattern, else None."""
    parts = key.split(".")
    for start in range(len(parts)):
        if rule := RULES.get(".".join(parts[start:])):
            return rule
    return next((rule for name, rule in RULES.items() if "*" in name and fnmatchcase(parts[-1], name)), None)


def refused_values(cfg: Mapping[str, Any]) -> list[str]:
    """A sentence for every value that breaks its rule, and for every top-level key that has none."""
    faults = []
    for key, value in flatten(cfg):
        rule = rule_of(key)
        if "." not in key and key not in RULES:
            near = get_close_matches(key, cfg.keys() - {key}, n=1)
            faults.append(f"{key}: no such key{f'; did you mean {near[0]}?' if near else ''}")
        elif rule is not None and not rule.accepts(value):
            shown = value if isinstance(value, str) else json.dumps(value)
            faults.append(f"{key}={shown} is refused: give {rule.says}")
    return faults
