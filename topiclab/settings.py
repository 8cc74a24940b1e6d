"""Groups of the configuration whose keys are fixed; conf/ holds their values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

GroupType = TypeVar("GroupType", bound="Group")


Reading = Mapping[str, Callable[[Any], Any]]  # of a field: from the value that a yaml holds


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`read` for values that may be empty, which become None."""
    return lambda value: None if value is None or value == "" else read(value)


class Group:
    """A group of the configuration whose keys are the fields of a dataclass.

    group: its dotted name.  older: values of keys that the oldest runs lack.
    read: of the fields whose type no yaml has.
    """

    group: ClassVar[str]
    older: ClassVar[Mapping[str, Any]] = {}
    read: ClassVar[Reading] = {}

    @classmethod
    def of(cls: type[GroupType], node: Mapping[str, Any]) -> GroupType:
        """The group of a configuration; ValueError names a key that is missing or unknown."""
        if not isinstance(node, Mapping):
            raise ValueError(f"{cls.group}={node} is not a group of keys; give {cls.group}.<key>=...")
        node = {**cls.older, **node}
        known: Any = fields(cls)  # type: ignore[arg-type]
        names = [field.name for field in known]
        needed = [field.name for field in known if field.default is MISSING]
        if missing := [name for name in needed if name not in node]:
            raise ValueError(f"{cls.group} lacks {', '.join(missing)}; give {cls.group}.{missing[0]}=...")
        if unknown := sorted(node.keys() - set(names)):
            raise ValueError(f"{cls.group} has no key {', '.join(unknown)}; its keys are {', '.join(names)}")
        return cls(**{name: cls.read.get(name, _as_is)(value) for name, value in node.items()})


def _as_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Trainer(Group):
    """conf/trainer: how models are trained, and on what.

    max_epochs, batch_size, gradient_clip: None leaves them to the model.
    patience: epochs without a better validation loss before stopping; None never stops early.
    checkpoint_seconds: minimum time between two saves of last.ckpt.
    device: auto, cpu, cuda, cuda:<number> or mps.  devices: number of them, 1 for topic models.
    precision: auto (bf16 where the device has it), fp32 or bf16.
    num_threads: CPU threads of torch; None uses all that the process may use.
    """

    group: ClassVar[str] = "trainer"
    older: ClassVar[Mapping[str, Any]] = {"checkpoint_seconds": 10}

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


@dataclass(frozen=True)
class Paths(Group):
    """conf/paths: folders.

    data: corpora; None is the folder that `data_folder` finds.  outputs: runs.
    cache: embeddings and everything else that runs share.
    """

    group: ClassVar[str] = "paths"
    read: ClassVar[Reading] = {"data": optional(Path), "outputs": Path, "cache": Path}

    data: Path | None
    outputs: Path
    cache: Path


def data_folder() -> Path:
    """Folder of the corpus files: $TOPICLAB_DATA, else ../shared/data beside the checkout, else data/."""
    if folder := os.environ.get("TOPICLAB_DATA"):
        return Path(folder)
    for checkout in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if (shared := checkout.parent / "shared" / "data").is_dir():
            return shared
    return Path("data")


@dataclass(frozen=True)
class Adaptation(Group):
    """mode.adapt and mode.adaptation: LoRA tuning of an embedder on the training rows.

    method: simcse or supcon; only supcon reads labels.  seed: None leaves the key out, and is 0.
    """

    group: ClassVar[str] = "mode.adaptation"

    method: str
    epochs: int
    lr: float
    batch_size: int
    temperature: float
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    seed: int | None = None

    def options(self) -> dict[str, Any]:
        """mode.adaptation as the configuration has it, for cache keys."""
        named = asdict(self)
        del named["method"]
        if self.seed is None:
            del named["seed"]
        return named


@dataclass(frozen=True)
class SelectK(Group):
    """select_k: how task=select_k and num_topics=auto compare numbers of topics.

    candidates: numbers of topics.  sample: maximum number of training documents to cluster; None takes all.
    num_seeds: clusterings per candidate.  seed: the first one.
    silhouette_sample: number of documents for the silhouette.
    """

    group: ClassVar[str] = "select_k"
    read: ClassVar[Reading] = {"candidates": tuple}

    candidates: tuple[int, ...]
    sample: int | None
    num_seeds: int
    seed: int
    max_iter: int
    silhouette_sample: int


@dataclass(frozen=True)
class Metrics(Group):
    """metrics: how a fit is evaluated.

    num_words: words per topic in the metrics of topics.  extra: names in metrics/extra.py.
    """

    group: ClassVar[str] = "metrics"
    read: ClassVar[Reading] = {"extra": tuple}

    num_words: int
    extra: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """Keys of every conf/data that choose the documents to keep.

    name: the corpus.  sample: number of documents; None keeps all.  sample_seed: another seed draws others.
    deduplicate: drops documents whose text repeats an earlier one.
    clean: what to remove from texts and titles first; None leaves them as they are.
    missing: values that mean that there is none; None: those of `data.missing.USUAL`.  Runs older than the
        key have only empty ones.
    timestamp_format: of dates, for strptime; None reads the usual forms.
    covariate_columns: names of the covariates; None without any.
    """

    name: str
    sample: int | None = None
    sample_seed: int = 0
    deduplicate: bool = False
    clean: tuple[str, ...] | None = None
    missing: tuple[str, ...] | None = ()
    timestamp_format: str | None = None
    covariate_columns: tuple[str, ...] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Selection:
        """Build from a group `data`, whose other keys belong to its source."""
        given: dict[str, Any] = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        lists: dict[str, Any] = {
            name: tuple(given[name])
            for name in ("clean", "missing", "covariate_columns")
            if given.get(name) is not None
        }
        return cls(**{**given, **lists})


@dataclass(frozen=True)
class Split(Group):
    """data.split: shares (0..1) of the documents held out; None keeps the original split."""

    group: ClassVar[str] = "data.split"

    val: float | None
    test: float | None


@dataclass(frozen=True)
class Vocabulary(Group):
    """data.vocabulary: what counts as a word, and which words a corpus keeps.

    token_pattern: regular expression of a word; None uses the tokenizer's own.
    min_df, max_df: minimum and maximum of documents with the word; int = number, float = share of them.
    size: number of words kept; None keeps all.  ngrams: shortest and longest run of words that counts as one.
    stop_words: a language, or a tuple of languages and words.
    domain_words: further stop words, none of them a language; None without any.
    """

    group: ClassVar[str] = "data.vocabulary"
    read: ClassVar[Reading] = {
        "ngrams": tuple,
        "stop_words": lambda value: tuple(value) if isinstance(value, list) else value,
        "domain_words": optional(tuple),
    }

    lowercase: bool
    tokenizer: str
    token_pattern: str | None
    stop_words: str | tuple[str, ...] | None
    min_df: float
    max_df: float
    size: int | None
    ngrams: tuple[int, int]
    domain_words: tuple[str, ...] | None = None

    def options(self) -> dict[str, Any]:
        """The group as the configuration has it, for cache keys."""
        named = asdict(self)
        if self.domain_words is None:
            del named["domain_words"]
        return named
