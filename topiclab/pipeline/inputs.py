"""Inputs of a fit: a corpus that is large enough, its vectors, and the data module of both."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import Literal, TypedDict

import numpy as np
from scipy import sparse

from topiclab.config.configuration import Configuration
from topiclab.config.declared import infers_from_vectors, unread
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.embed.embedder import Embeddings, corpus_as_read, embed_corpus, embed_words
from topiclab.embed.occurrences import occurrence_vectors
from topiclab.metrics.extra import Extras
from topiclab.minillm.held_out import check_held_out
from topiclab.teach.soft_labels import soft_labels
from topiclab.teach.states import teacher_states

log = logging.getLogger(__name__)


def check_sizes(num_topics: int | Literal["auto"], corpus: Corpus) -> None:
    """Raise ValueError if the corpus is too small for num_topics; warn if it has fewer different texts."""
    rows = corpus.rows("train")
    num_train = len(rows)
    if num_train < 2:
        raise ValueError(
            f"{corpus.name} has {num_train} training document of {corpus.num_docs}, but a model needs at "
            "least 2; give more documents, or use data.split.val=0 data.split.test=0"
        )
    if not corpus.bow[rows].nnz:
        raise ValueError(
            f"no training document of {corpus.name} holds a word of the vocabulary; give more documents, or "
            "lower data.vocabulary.min_df"
        )
    if num_topics != "auto" and num_topics > num_train:
        raise ValueError(
            f"num_topics={num_topics}, but {corpus.name} has {num_train} training documents; "
            "ask for fewer topics"
        )
    if num_topics == "auto":
        return
    found = distinct_up_to(num_topics, (corpus.texts[row] for row in rows))
    if found < num_topics:
        log.warning(
            "num_topics=%d, but the training documents of %s are %d different texts, so at least %d topics "
            "cannot have a document of their own; ask for fewer topics",
            num_topics,
            corpus.name,
            found,
            num_topics - found,
        )


def advice_on_topics(num_topics: int, num_docs: int) -> str | None:
    """A sentence if num_topics is less than half or more than twice what suits the corpus; None otherwise.

    The ranges are THETA's guideline: 10 to 20 topics for less than 1,000 documents, 20 to 50 up to 10,000,
    50 to 100 above.
    """
    low, high = (10, 20) if num_docs < 1_000 else (20, 50) if num_docs <= 10_000 else (50, 100)
    if low <= 2 * num_topics and num_topics <= 2 * high:
        return None
    return (
        f"num_topics={num_topics} is far from the {low} to {high} topics that usually suit {num_docs} "
        "documents; num_topics=auto chooses by their vectors"
    )


def distinct_up_to(enough: int, texts: Iterable[str]) -> int:
    """Number of different texts, counted no further than `enough`."""
    seen: set[str] = set()
    for text in texts:
        seen.add(text)
        if len(seen) >= enough:
            break
    return len(seen)


def unread_documents(cfg: Configuration, bow: sparse.csr_matrix, embeddings: np.ndarray | None) -> np.ndarray:
    """Mask (N,) of the documents of which the model reads nothing: no known word, and no vector of a text.

    bow: (N, V).  embeddings: (N, E); a vector is none if it is 0, or that of the empty text, which
    embed_text=bow leaves of a document without known words.
    """
    is_unread = np.diff(bow.indptr) == 0
    reads_words_only = cfg.embed_text == "bow" and cfg.input == "embedder"
    if embeddings is not None and infers_from_vectors(cfg.plain()) and not reads_words_only:
        is_unread[is_unread] = ~np.asarray(embeddings[is_unread]).any(axis=1)
    return is_unread


def with_unread(theta: np.ndarray, is_unread: np.ndarray) -> np.ndarray:
    """theta (N, K) with equal proportions for unread documents (N,): alike, whatever the model gives them."""
    if not is_unread.any():
        return theta
    return np.where(is_unread[:, None], theta.dtype.type(1 / theta.shape[1]), theta)


def check_language_models(cfg: Configuration) -> None:
    """Raise ValueError if a language model of ours that the fit reads was trained on held-out documents."""
    ignored = unread(cfg.plain())
    for group, options in (("teacher", cfg.teacher), ("embedder", cfg.embedder)):
        if options.get("run") and group not in ignored:
            check_held_out(str(options["run"]), f"{group}.run", cfg.data)


def document_vectors(cfg: Configuration, corpus: Corpus) -> Embeddings:
    """The vectors of every document that models read: the embedder's, or the teacher's states."""
    cache = cfg.paths.cache
    if cfg.input == "teacher":
        return teacher_states(cfg.teacher, corpus, cache, cfg.trainer)
    read = corpus_as_read(corpus, cfg.embed_text)
    embeddings = embed_corpus(cfg.embedder, read, cache, cfg.trainer, adapt=cfg.adaptation)
    embeddings.tell_long(cfg.embedder["name"], cfg.embedder.get("long", "cut"))
    return embeddings


class Asked(TypedDict):
    """Keyword arguments of `evaluate` that the configuration and the inputs decide."""

    top_n: int
    extras: Extras


def asked_metrics(cfg: Configuration, datamodule: TopicDataModule) -> Asked:
    """The group `metrics`, and what the metrics of metrics.extra and mode=supervised read of the inputs."""
    word_vectors = None if datamodule.word_vectors is None else datamodule.embedded_words
    extras = Extras(cfg.metrics.extra, datamodule.embeddings, word_vectors, cfg.seed)
    return {"top_n": cfg.metrics.num_words, "extras": extras}


def make_datamodule(cfg: Configuration, corpus: Corpus, embeddings: Embeddings | None) -> TopicDataModule:
    """Documents for the model; with labels only if mode=supervised.

    embeddings: None for a fit that reads no vectors.
    """
    is_supervised = cfg.mode["name"] == "supervised"
    if is_supervised and (corpus.labels is None or len(set(corpus.labels[corpus.rows("train")]) - {-1}) < 2):
        raise ValueError(
            f"mode=supervised needs training documents of at least two labels, but {corpus.name} has "
            f"{'none' if corpus.labels is None else 'fewer'}; name data.label_column or use mode=zero_shot"
        )
    cache = cfg.paths.cache
    read = corpus_as_read(corpus, cfg.embed_text)
    words = partial(embed_words, cfg.embedder, read, cache, cfg.trainer, adapt=cfg.adaptation)
    occurrences = partial(
        occurrence_vectors,
        cfg.embedder,
        read,
        cache,
        cfg.trainer,
        adapt=cfg.adaptation,
        vocabulary=cfg.vocabulary,
    )
    reads_embedder, has_teacher = cfg.input == "embedder", cfg.teacher["name"] != "none"
    return TopicDataModule(
        corpus,
        None if embeddings is None else embeddings.vectors,
        shows_labels=is_supervised,
        embedding_key=None if embeddings is None else embeddings.key,
        cache_root=cache,
        word_vectors=words if reads_embedder else None,
        occurrences=occurrences if reads_embedder else None,
        teach=partial(soft_labels, cfg.teacher, trainer=cfg.trainer) if has_teacher else None,
    )
