"""Inputs of a fit: a corpus that is large enough, its vectors, and the data module of both."""

from __future__ import annotations

from functools import partial
from typing import Literal

from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.embed.embedder import Embeddings, corpus_as_read, embed_corpus, embed_words
from topiclab.embed.occurrences import occurrence_vectors
from topiclab.teach.soft_labels import soft_labels
from topiclab.teach.states import teacher_states


def check_sizes(num_topics: int | Literal["auto"], corpus: Corpus) -> None:
    """Raise ValueError if the corpus is too small for num_topics."""
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


def document_vectors(cfg: Configuration, corpus: Corpus) -> Embeddings:
    """The vectors of every document that models read: the embedder's, or the teacher's states."""
    cache = cfg.paths.cache
    if cfg.input == "teacher":
        return teacher_states(cfg.teacher, corpus, cache, cfg.trainer)
    read = corpus_as_read(corpus, cfg.embed_text)
    return embed_corpus(cfg.embedder, read, cache, cfg.trainer, adapt=cfg.adaptation)


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
