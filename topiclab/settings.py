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
    patience: epochs without a better validation loss before stopping; None runs them all.
    checkpoint_seconds: at least so long between two saves of last.ckpt.
    device: auto, cpu, cuda, cuda:<number> or mps.  devices: number of them, 1 for topic models.
    precision: auto (bf16 where the device has it), fp32 or bf16.
    num_threads: of torch on the CPU; None takes all that the process may use.
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
        """The group of a configuration; ValueError names a key that is missing or unknown."""
        node = {"checkpoint_seconds": 10, **node}  # which the oldest runs lack
        _check_keys(cls, "trainer", node)
        return cls(**node)


@dataclass(frozen=True)
class Paths:
    """conf/paths: folders.

    data: of corpora; None is the folder that `data_folder` finds.  outputs: of runs.
    cache: of embeddings and of what else runs share.
    """

    data: Path | None
    outputs: Path
    cache: Path

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Paths:
        """The group of a configuration; ValueError names a key that is missing or unknown."""
        _check_keys(cls, "paths", node)
        return cls(Path(node["data"]) if node["data"] else None, Path(node["outputs"]), Path(node["cache"]))


@dataclass(frozen=True)
class SelectK:
    """select_k: how task=select_k and num_topics=auto compare numbers of topics.

    candidates: numbers of topics.  sample: training documents that are clustered at most; None takes all.
    num_seeds: clusterings of each candidate.  seed: of the first.
    silhouette_sample: documents.
    """

    candidates: tuple[int, ...]
    sample: int | None
    num_seeds: int
    seed: int
    max_iter: int
    silhouette_sample: int

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> SelectK:
        """The group of a configuration; ValueError names a key that is missing or unknown."""
        _check_keys(cls, "select_k", node)
        return cls(**{**node, "candidates": tuple(node["candidates"])})


@dataclass(frozen=True)
class Selection:
    """What every conf/data says of the documents that are kept.

    name: of the corpus.  sample: number of documents; None keeps all.  sample_seed: another one draws others.
    deduplicate: drops documents whose text repeats an earlier one.
    """

    name: str
    sample: int | None = None
    sample_seed: int = 0
    deduplicate: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Selection:
        """The keys of a group `data`, whose others are its source's own."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Split:
    """data.split: shares (0..1) of the documents held out; None keeps the makers' own division."""

    val: float | None
    test: float | None

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Split:
        """The group of a configuration; ValueError names a key that is missing or unknown."""
        _check_keys(cls, "data.split", node)
        return cls(**node)


@dataclass(frozen=True)
class Vocabulary:
    """data.vocabulary: what counts as a word, and which words a corpus keeps.

    token_pattern: regular expression of a word; None is the tokenizer's own.
    min_df, max_df: documents that a word is in at least and at most; int = number, float = share of them.
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
        """The group of a configuration; ValueError names a key that is missing or unknown."""
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
    """ValueError for a group of the configuration that lacks a key, or has one too many."""
    known = [field.name for field in fields(settings)]
    needed = [field.name for field in fields(settings) if field.default is MISSING]
    if missing := [name for name in needed if name not in node]:
        raise ValueError(f"{group} lacks {', '.join(missing)}; give {group}.{missing[0]}=...")
    if unknown := sorted(node.keys() - set(known)):
        raise ValueError(f"{group} has no key {', '.join(unknown)}; its keys are {', '.join(known)}")
