"""Python API: fit topics on texts, load a finished run, transform unseen texts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from topiclab.config.compose import ConfigError, compose, compose_unchecked, to_plain
from topiclab.config.configuration import Configuration
from topiclab.config.declared import uses
from topiclab.config.instantiate import build
from topiclab.config.trust import code_of
from topiclab.data.sources.corpora import corpus_from_texts
from topiclab.data.words.occurrences import Occurrences
from topiclab.data.words.vocabulary import count, texts_of_known_words
from topiclab.embed.embedder import Embedder, is_fitted
from topiclab.embed.occurrences import text_occurrences
from topiclab.models.base.estimator import Estimator
from topiclab.models.base.topic_model import TopicModel
from topiclab.pipeline.build import Sizes, build_model, with_num_topics
from topiclab.pipeline.fit_texts import fit_corpus
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

    embedder: None for a run that read no vectors.
    """

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, float | None]
    result: TopicResult
    label_names: tuple[str, ...]
    model: Estimator
    embedder: Embedder | None

    def topic_words(self, num: int = 10) -> list[list[str]]:
        """The num words that describe each topic."""
        return self.result.topic_words(num)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (N, E) of unseen texts, read as in the run (`embed_text`; a teacher reads raw texts).

        Raises ValueError if the run read no vectors.
        """
        if self.embedder is None:
            raise ValueError(
                f"model={self.config['model']['name']} reads no vectors, so its run keeps no embedder; "
                "transform(texts) needs none, and task=embed makes vectors"
            )
        return self.embedder.encode(self._as_read(texts))

    @property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self.config["data"]["vocabulary"])

    @property
    def reads_vectors(self) -> bool:
        """True if the model reads vectors of documents."""
        return "vectors" in uses(self.config["model"])

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

    def transform(self, texts: Sequence[str], embeddings: np.ndarray | None = None) -> np.ndarray:
        """Topic proportions (N, K) of unseen texts; embeddings (N, E), if given, replace the embedder's."""
        bow = count(texts, self.result.vocab, self._vocabulary)
        if embeddings is None and self.reads_vectors:
            embeddings = self.embed(texts)
        return self.model.transform(bow, embeddings, **self._occurrences(texts))

    @property
    def predicts_labels(self) -> bool:
        return isinstance(self.model, TopicModel) and self.model.classifier is not None

    def predict(self, texts: Sequence[str], embeddings: np.ndarray | None = None) -> list[str]:
        """Predicted labels of unseen texts; ValueError unless the run was supervised."""
        if not isinstance(self.model, TopicModel) or self.model.classifier is None:
            raise ValueError("this run predicts no labels; fit it with mode=supervised")
        bow = count(texts, self.result.vocab, self._vocabulary)
        if embeddings is None:
            embeddings = self.embed(texts)
        classes = self.model.predict_classes(bow, embeddings, **self._occurrences(texts))
        return [self.label_names[index] for index in classes.argmax(axis=1)]


def fit(
    texts: Sequence[str],
    model: str = "theta",
    num_topics: int | Literal["auto"] = 20,
    *,
    labels: Sequence[Any] | None = None,
    embedder: str = "lsa",
    seed: int = 0,
    overrides: Sequence[str] = (),
    folder: str | Path | None = None,
) -> FittedTopics:
    """Fit topics on texts as the command line does, and return the finished run.

    num_topics: "auto" is what task=select_k recommends for the texts.
    labels are used by the metrics, and by the model with overrides=["mode=supervised"].
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
        vocabulary=chosen.vocabulary,
        split=chosen.split,
        **vars(Selection.of(chosen.data)),
    )
    cfg["data"]["fingerprint"] = corpus.fingerprint
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
    embedder = load_embedder(of_run, folder, facts["vocab"], trainer) if facts["embedding_dim"] else None
    return FittedTopics(folder, cfg, result["metrics"], topics, tuple(facts["label_names"]), model, embedder)


def load_embedder(cfg: Configuration, folder: Path, vocab: Sequence[str], trainer: Trainer) -> Embedder:
    """The embedder that makes the vectors of unseen texts for the run's model."""
    if cfg.input == "teacher":
        return TeacherStates(cfg.teacher, trainer, vocab)
    adapter = {"adapter": str(folder / ADAPTER)} if (folder / ADAPTER).is_dir() else {}
    embedder = build({**cfg.embedder, **adapter}, trainer)
    if is_fitted(embedder):
        embedder.load_state(load_arrays(folder / EMBEDDER))
    return embedder
