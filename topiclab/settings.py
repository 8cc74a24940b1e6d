"""Groups of the configuration whose keys are fixed; conf/ holds their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trainer:
    """conf/trainer: how models are trained, and on what.

    max_epochs, batch_size, gradient_clip: None leaves them to the model.
    patience: epochs without a better validation loss before stopping; None never stops early.
    checkpoint_seconds: minimum time between two saves of last.ckpt.
    device: auto, cpu, cuda, cuda:<number> or mps.  devices: number of them, 1 for topic models.
    precision: auto (bf16 where the device has it), fp32 or bf16.
    num_threads: CPU threads of torch; None uses all that the process may use.
    """

    max_epochs: int | None
    batch_size: int | None
    patience: int | None
    gradient_clip: float | None
    checkpoint_seconds: float
    device: str
    devices: int
    precision: str
    num_threads: int | None
    deterministic: bool

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Trainer:
        """Build from the group of a configuration; ValueError names a missing or unknown key."""
        node = {"checkpoint_seconds": 10, **node}  # the oldest runs lack it
        _check_keys(cls, "trainer", node)
        return cls(**node)


@dataclass(frozen=True)
class Paths:
    """conf/paths: folders.

    data: corpora; None is the folder that `data_folder` finds.  outputs: runs.
    cache: embeddings and everything else that runs share.
    """

    data: Path | None
    outputs: Path
    cache: Path

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Paths:
        """Build from the group of a configuration; ValueError names a missing or unknown key."""
        _check_keys(cls, "paths", node)
        return cls(Path(node["data"]) if node["data"] else None, Path(node["outputs"]), Path(node["cache"]))


@dataclass(frozen=True)
class Adaptation:
    """mode.adapt and mode.adaptation: LoRA tuning of an embedder on the training rows.

    method: simcse or supcon; only supcon reads labels.  seed: None leaves the key out, and is 0.
    """

    method: str
    epochs: int
    lr: float
    batch_size: int
    temperature: float
    lora_r: int
    lora_alpha: float
    lora_dropout: float
    seed: int | None = None

    @classmethod
    def of(cls, mode: Mapping[str, Any]) -> Adaptation | None:
        """None where the group `mode` tunes nothing; ValueError names a key that is missing or unknown."""
        if mode["adapt"] is None:
            return None
        node = {"method": mode["adapt"], **mode["adaptation"]}
        _check_keys(cls, "mode.adaptation", node)
        return cls(**node)

    def options(self) -> dict[str, Any]:
        """mode.adaptation as the configuration has it, for cache keys."""
        named = asdict(self)
        del named["method"]
        if self.seed is None:
            del named["seed"]
        return named


@dataclass(frozen=True)
class SelectK:
    """select_k: how task=select_k and num_topics=auto compare numbers of topics.

    candidates: numbers of topics.  sample: maximum number of training documents to cluster; None takes all.
    num_seeds: clusterings per candidate.  seed: the first one.
    silhouette_sample: number of documents for the silhouette.
    """

    candidates: tuple[int, ...]
    sample: int | None
    num_seeds: int
    seed: int
    max_iter: int
    silhouette_sample: int

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> SelectK:
        """Build from the group of a configuration; ValueError names a missing or unknown key."""
        _check_keys(cls, "select_k", node)
        return cls(**{**node, "candidates": tuple(node["candidates"])})


@dataclass(frozen=True)
class Selection:
    """Keys of every conf/data that choose the documents to keep.

    name: the corpus.  sample: number of documents; None keeps all.  sample_seed: another seed draws others.
    deduplicate: drops documents whose text repeats an earlier one.
    """

    name: str
    sample: int | None = None
    sample_seed: int = 0
    deduplicate: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Selection:
        """Build from a group `data`, whose other keys belong to its source."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Split:
    """data.split: shares (0..1) of the documents held out; None keeps the original split."""

    val: float | None
    test: float | None

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Split:
        """Build from the group of a configuration; ValueError names a missing or unknown key."""
        _check_keys(cls, "data.split", node)
        return cls(**node)


@dataclass(frozen=True)
class Vocabulary:
    """data.vocabulary: what counts as a word, and which words a corpus keeps.

    token_pattern: regular expression of a word; None uses the tokenizer's own.
    min_df, max_df: minimum and maximum of documents with the word; int = number, float = share of them.
    size: number of words kept; None keeps all.  ngrams: shortest and longest run of words that counts as one.
    domain_words: stop words of this corpus; None for data without such a key.
    """

    lowercase: bool
    tokenizer: str
    token_pattern: str | None
    stop_words: str | None
    min_df: float
    max_df: float
    size: int | None
    ngrams: tuple[int, int]
    domain_words: tuple[str, ...] | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Vocabulary:
        """Build from the group of a configuration; ValueError names a missing or unknown key."""
        _check_keys(cls, "data.vocabulary", node)
        shortest, longest = node["ngrams"]
        domain_words = node.get("domain_words")
        return cls(
            **{
                **node,
                "ngrams": (shortest, longest),
                "domain_words": None if domain_words is None else tuple(domain_words),
            }
        )

    def options(self) -> dict[str, Any]:
        """The group as the configuration has it, for cache keys."""
        named = asdict(self)
        if self.domain_words is None:
            del named["domain_words"]
        return named


def _check_keys(settings: type, group: str, node: Mapping[str, Any]) -> None:
    """Raise ValueError if a group of the configuration lacks a key or has an unknown one."""
    known = [field.name for field in fields(settings)]
    needed = [field.name for field in fields(settings) if field.default is MISSING]
    if missing := [name for name in needed if name not in node]:
        raise ValueError(f"{group} lacks {', '.join(missing)}; give {group}.{missing[0]}=...")
    if unknown := sorted(node.keys() - set(known)):
        raise ValueError(f"{group} has no key {', '.join(unknown)}; its keys are {', '.join(known)}")
