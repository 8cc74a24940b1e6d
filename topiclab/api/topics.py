"""Python API: fit topics on texts, load a finished run, transform unseen texts."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from topiclab.api.facts import GivenCovariates, GivenTimestamps, told_covariates, told_timestamps
from topiclab.config.compose import ConfigError, compose, compose_unchecked, to_plain
from topiclab.config.configuration import Configuration
from topiclab.config.declared import uses
from topiclab.config.instantiate import build
from topiclab.config.trust import code_of
from topiclab.data.cleaning import clean_text
from topiclab.data.sources.corpora import corpus_from_texts, list_of_texts
from topiclab.data.words.occurrences import Occurrences
from topiclab.data.words.vocabulary import count, texts_of_known_words
from topiclab.embed.embedder import Embedder, is_fitted
from topiclab.embed.long_texts import reading_facts, tell_long
from topiclab.embed.occurrences import text_occurrences
from topiclab.models.base.estimator import Estimator
from topiclab.models.base.topic_model import TopicModel
from topiclab.pipeline.build import Sizes, build_model, with_num_topics
from topiclab.pipeline.document_table import read_documents
from topiclab.pipeline.fit_texts import fit_corpus
from topiclab.pipeline.inputs import unread_documents, with_unread
from topiclab.pipeline.saved_model import ADAPTER, EMBEDDER, MODEL, check_words, load_arrays, load_facts
from topiclab.result import TopicResult
from topiclab.runs.outcome import Finished
from topiclab.runs.run import finished_run, run_cell
from topiclab.runs.stored import naming
from topiclab.settings import Selection, Trainer, Vocabulary
from topiclab.teach.states import TeacherStates

if TYPE_CHECKING:
    from topiclab.api.images import ImageTopics
    from topiclab.minillm.chat import ChatModel


@dataclass(frozen=True)
class FittedTopics:
    """A finished run: its result over its own corpus, its metrics, and the model for unseen texts.

    `theta`, `rows` and `documents()` have one row for every text that was given, or record of the file, in
    its order; `result` has the documents alone, without the blank texts.
    embedder, embedding_dim: None and 0 for a run that read no vectors.
    """

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, float | None]
    result: TopicResult
    label_names: tuple[str, ...]
    model: Estimator
    embedder: Embedder | None
    embedding_dim: int = 0

    def __repr__(self) -> str:
        model, data = self.config["model"]["name"], self.config["data"]["name"]
        return (
            f"FittedTopics(model={model}, num_topics={self.result.num_topics}, data={data}, "
            f"documents={len(self.result.theta)},\n  folder={str(self.folder)!r})"
        )

    def topic_words(self, num: int = 10) -> list[list[str]]:
        """The num words that describe each topic; [] for one of `empty_topics`."""
        empty = set(self.empty_topics)
        return [[] if topic in empty else row for topic, row in enumerate(self.result.topic_words(num))]

    @property
    def empty_topics(self) -> list[int]:
        """Topics without any document, as with more topics than different texts."""
        return self.result.empty_topics

    def documents(self) -> pa.Table:
        """Table as in documents.csv, one row for every text given; `.to_pandas()` makes a DataFrame.

        Columns: row, id, split, topic, share, known_words, label, predicted, dropped (the reason, or null).
        Raises ValueError for a run of an earlier version, which did not record them.
        """
        return read_documents(self.folder)

    @cached_property
    def rows(self) -> np.ndarray:
        """Row (N,) int64 of `result.theta` for every text given; -1 for one that was dropped."""
        is_dropped = self.documents()["dropped"].is_valid().to_numpy()
        if (~is_dropped).sum() != len(self.result.theta):
            raise ValueError(f"the documents of {self.folder} are not those of its topics; fit again")
        return np.where(is_dropped, -1, np.cumsum(~is_dropped) - 1)

    @cached_property
    def theta(self) -> np.ndarray:
        """Topic proportions (N, K) float32 of every text given; NaN for one that was dropped."""
        found = np.full((len(self.rows), self.result.num_topics), np.nan, np.float32)
        found[self.rows >= 0] = self.result.theta
        return found

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (N, E) of unseen texts, cleaned and read as in the run (`data.clean`, `embed_text`).

        Raises ValueError if the run read no vectors, TypeError for anything but a sequence of strings.
        """
        return self._embedded(self._cleaned(texts))

    def _embedded(self, texts: list[str]) -> np.ndarray:
        if self.embedder is None:
            raise ValueError(
                f"model={self.config['model']['name']} reads no vectors, so its run keeps no embedder; "
                "transform(texts) needs none, and task=embed makes vectors"
            )
        read = self._as_read(texts)
        vectors = self.embedder.encode(read)
        if read:
            facts, options = reading_facts(self.embedder), self.config["embedder"]
            limit, long = facts.get("max_length"), options.get("long", "cut")
            tell_long(facts.get("num_long"), limit, len(read), options["name"], long)
        return vectors

    @property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self.config["data"]["vocabulary"])

    @property
    def reads_vectors(self) -> bool:
        """True if the model reads vectors of documents."""
        return "vectors" in uses(self.config["model"])

    def _cleaned(self, texts: Sequence[str]) -> list[str]:
        """The texts without what `data.clean` of the run removes."""
        kinds = self.config["data"].get("clean") or ()
        return [clean_text(text, kinds) for text in list_of_texts(texts)] if kinds else list_of_texts(texts)

    def _as_read(self, texts: Sequence[str]) -> Sequence[str]:
        # older runs lack these keys: their embedder read raw texts
        reads_bow = self.config.get("embed_text", "raw") == "bow"
        if reads_bow and self.config.get("input", "embedder") == "embedder":
            return texts_of_known_words(texts, self.result.vocab, self._vocabulary)
        return texts

    def _occurrences(self, texts: Sequence[str]) -> dict[str, Occurrences]:
        """Occurrences of vocabulary words in unseen texts; {} unless the model reads them."""
        if not isinstance(self.model, TopicModel) or not self.model.reads_occurrences:
            return {}
        assert self.embedder is not None
        found = text_occurrences(
            self.embedder,
            self._as_read(texts),
            self.result.vocab,
            self._vocabulary,
            self.config["model"]["subtokens"],
        )
        return {"occurrences": found}

    def _facts(
        self, num_texts: int, covariates: GivenCovariates, timestamps: GivenTimestamps
    ) -> dict[str, Any]:
        """Covariates and dates of unseen texts, where the model reads them."""
        model, name, selection = self.model, self.config["model"]["name"], Selection.of(self.config["data"])
        return {
            **told_covariates(model, name, num_texts, covariates, selection),
            **told_timestamps(model, name, num_texts, timestamps, selection),
        }

    def transform(
        self,
        texts: Sequence[str],
        embeddings: np.ndarray | None = None,
        *,
        covariates: GivenCovariates = None,
        timestamps: GivenTimestamps = None,
    ) -> np.ndarray:
        """Topic proportions (N, K) of unseen texts; embeddings (N, E), if given, replace the embedder's.

        covariates: N values of each that the model was fitted with; needed if it was.
        timestamps: N dates; needed if the model has topics by period.
        A text of which the model reads nothing, such as a blank one, has the same proportion everywhere.
        Raises TypeError for anything but a sequence of strings, ValueError for embeddings that do not fit.
        """
        texts, embeddings = self._checked(texts, embeddings)
        bow = count(texts, self.result.vocab, self._vocabulary)
        facts = self._facts(len(texts), covariates, timestamps)
        theta = self.model.transform(bow, embeddings, **self._occurrences(texts), **facts)
        return with_unread(theta, unread_documents(Configuration.of(self.config), bow, embeddings))

    def known_words(self, texts: Sequence[str]) -> np.ndarray:
        """Number of vocabulary words in each of these texts, repeated ones counted, (N,) int64."""
        counts = count(self._cleaned(texts), self.result.vocab, self._vocabulary)
        return np.asarray(counts.sum(axis=1), np.int64).ravel()

    def _checked(
        self, texts: Sequence[str], embeddings: np.ndarray | None
    ) -> tuple[list[str], np.ndarray | None]:
        """The texts as a list, and the embeddings that the model reads; see `transform`."""
        texts = self._cleaned(texts)
        if embeddings is None:
            return texts, self._embedded(texts) if self.reads_vectors else None
        if self.embedder is None:
            raise ValueError(f"model={self.config['model']['name']} reads no vectors; leave embeddings out")
        return texts, checked_vectors(embeddings, len(texts), self.embedding_dim)

    @property
    def predicts_labels(self) -> bool:
        return isinstance(self.model, TopicModel) and self.model.classifier is not None

    def predict(
        self,
        texts: Sequence[str],
        embeddings: np.ndarray | None = None,
        *,
        timestamps: GivenTimestamps = None,
    ) -> list[str]:
        """Predicted labels of unseen texts; ValueError unless the run was supervised, else as `transform`."""
        if not isinstance(self.model, TopicModel) or self.model.classifier is None:
            raise ValueError("this run predicts no labels; fit it with mode=supervised")
        texts, embeddings = self._checked(texts, embeddings)
        bow = count(texts, self.result.vocab, self._vocabulary)
        facts = self._facts(len(texts), None, timestamps)
        classes = self.model.predict_classes(bow, embeddings, **self._occurrences(texts), **facts)
        return [self.label_names[index] for index in classes.argmax(axis=1)]


def checked_vectors(vectors: np.ndarray, num_texts: int, dim: int) -> np.ndarray:
    """Vectors (num_texts, dim) float32; ValueError for another shape, type or a value that is not finite."""
    found = np.asarray(vectors)
    if found.dtype.kind not in "fiu":
        raise ValueError(f"embeddings are of dtype {found.dtype}; give numbers, such as float32")
    if found.ndim != 2 or len(found) != num_texts:
        raise ValueError(
            f"embeddings have shape {found.shape}, but there are {num_texts} texts; give a row for each"
        )
    if found.shape[1] != dim:
        raise ValueError(
            f"embeddings have {found.shape[1]} columns, but those of the run have {dim}; use its embedder"
        )
    with np.errstate(over="ignore"):
        found = found.astype(np.float32, copy=False)
    if len(bad := np.flatnonzero(~np.isfinite(found).all(axis=1))):
        raise ValueError(
            f"embeddings of {len(bad)} texts are not finite in float32; the first is that of text {bad[0]}"
        )
    return found


def fit(
    texts: Sequence[str],
    model: str = "theta",
    num_topics: int | Literal["auto"] = 20,
    *,
    labels: Sequence[Any] | None = None,
    ids: Sequence[str] | None = None,
    timestamps: Sequence[Any] | None = None,
    covariates: Mapping[str, Sequence[Any]] | None = None,
    embedder: str = "lsa",
    seed: int = 0,
    overrides: Sequence[str] = (),
    folder: str | Path | None = None,
) -> FittedTopics:
    """Fit topics on texts as the command line does, and return the finished run.

    num_topics: "auto" is what task=select_k recommends for the texts.
    labels are used by the metrics, and by the model with overrides=["mode=supervised"].  ids: names of the
        texts, all different, for `documents()`; by default they are made from the texts.
    timestamps: dates of the texts.  covariates: facts about them, one value for every text, by name, as
        data.covariate_columns; for models that read them.
    overrides: further `key=value` settings.  folder: of the run; None makes a temporary one.
    Raises ConfigError for a bad setting, CellFailed if the fit fails.
    """
    cfg = compose(
        [
            f"model={model}",
            f"embedder={embedder}",
            f"num_topics={num_topics}",
            f"seed={seed}",
            "data=texts",
            *overrides,
        ]
    )
    chosen = Configuration.of(cfg)
    corpus = corpus_from_texts(
        texts,
        labels=labels,
        ids=ids,
        timestamps=timestamps,
        covariates=covariates,
        vocabulary=chosen.vocabulary,
        split=chosen.split,
        **vars(Selection.of(chosen.data)),
    )
    cfg["data"]["fingerprint"] = corpus.fingerprint
    if corpus.covariates is not None:
        cfg["data"]["covariate_columns"] = list(corpus.covariates.names)
    folder = Path(tempfile.mkdtemp(prefix="topiclab-") if folder is None else folder)
    try:
        result = run_cell(cfg, folder, partial(fit_corpus, corpus=corpus))
    except ConfigError as error:
        raise ConfigError([_in_python(fault) for fault in error.faults]) from error
    topics = load(folder, trust=code_of(result["config"]) == code_of(cfg))  # code that the caller named
    assert isinstance(topics, FittedTopics)
    return topics


def _in_python(fault: str) -> str:
    """The fault of a folder that holds another run, whose way out is an argument of `fit`."""
    return fault.replace("give this run another name (name=...)", "give fit another folder=").replace(
        "add rerun=true", "overrides=['rerun=true']"
    )


def load(
    folder: str | Path, device: str = "auto", *, trust: bool = False
) -> FittedTopics | ImageTopics | ChatModel:
    """Load a finished run from its folder; ValueError if something in it is missing or damaged.

    A run of a language model becomes a ChatModel with the options of task=chat.
    device: for the embedder of unseen texts, or a model of images or language, whatever the run was fitted
        on.
    trust: False refuses a run whose configuration names classes or functions that conf/ does not hold, since
        loading would run them.
    """
    folder = Path(folder)
    result = finished_run(folder, "fit", "pretrain", "finetune", trust=trust)
    with naming(folder):
        return _loaded(folder, result, device)


def _loaded(folder: Path, result: Finished, device: str) -> FittedTopics | ImageTopics | ChatModel:
    cfg = result["config"]
    if cfg["task"]["name"] != "fit":
        from topiclab.minillm.finished import chat_model

        options = to_plain(compose_unchecked(["task=chat"]))["chat"]
        trainer = replace(Trainer.of(cfg["trainer"]), device=device, precision="auto")
        return chat_model(folder, options, trainer)
    if cfg["data"].get("modality") == "images":
        from topiclab.api.images import load_image_run

        return load_image_run(folder, result, device)
    facts = load_facts(folder)
    topics = TopicResult.load(folder / "topics.npz")
    check_words(folder, facts["vocab"], topics)
    is_supervised = cfg["mode"]["name"] == "supervised"
    sizes: Sizes = {
        "num_words": len(facts["vocab"]),
        "embedding_dim": facts["embedding_dim"],
        "num_classes": len(facts["label_names"]) if is_supervised else 0,
    }
    of_run = Configuration.of(cfg)
    model = build_model(with_num_topics(of_run, result["manifest"]), sizes)
    model.load_state(load_arrays(folder / MODEL))
    Vocabulary.of(cfg["data"]["vocabulary"])  # which texts are counted by, later
    trainer = replace(of_run.trainer, device=device)
    dim = facts["embedding_dim"]
    embedder = load_embedder(of_run, folder, facts["vocab"], trainer) if dim else None
    names = tuple(facts["label_names"])
    return FittedTopics(folder, cfg, result["metrics"], topics, names, model, embedder, dim)


def load_embedder(cfg: Configuration, folder: Path, vocab: Sequence[str], trainer: Trainer) -> Embedder:
    """The embedder that makes the vectors of unseen texts for the run's model."""
    if cfg.input == "teacher":
        return TeacherStates(cfg.teacher, trainer, vocab)
    adapter = {"adapter": str(folder / ADAPTER)} if (folder / ADAPTER).is_dir() else {}
    embedder = build({**cfg.embedder, **adapter}, trainer)
    if is_fitted(embedder):
        embedder.load_state(load_arrays(folder / EMBEDDER))
    return embedder
