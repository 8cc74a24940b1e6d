"""Soft labels from the corpus's own counts: planted topics, order, held-out documents, empty documents."""

from dataclasses import replace
from functools import cache

import numpy as np
import planted
import pytest
from scipy import sparse

from topiclab.config.compose import compose
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.targets import distributions
from topiclab.embed.embedder import embed_corpus
from topiclab.teach.ppmi import _ppmi, ppmi_vectors
from topiclab.teach.soft_labels import make_teacher, soft_labels

VARIANTS = [
    [f"teacher.space={space}", f"teacher.label={label}"]
    for space in ("ppmi", "lsa")
    for label in ("neighbours", "similarity")
]


@cache
def configuration(*overrides):
    return compose(["data=synthetic", "teacher=corpus", "teacher.dim=16", *overrides])


def labels_of(corpus, *overrides):
    """Return targets (D, V), float32, and the input vectors."""
    teacher = configuration(*overrides)["teacher"]
    labels = soft_labels(teacher, TopicDataModule(corpus, None), None)
    values = distributions(labels, teacher["temperature"]).values
    return values.toarray() if sparse.issparse(values) else values.astype(np.float32), labels.vectors


def owners(corpus):
    """Planted topic (V,) of each word: the label that uses it most."""
    return np.stack([corpus.bow[corpus.labels == label].sum(axis=0).A1 for label in range(5)]).argmax(axis=0)


def share_of_own_words(values, corpus):
    """Mean mass, over documents, of the words of the document's own topic."""
    return float((values * (owners(corpus) == corpus.labels[:, None])).sum(axis=1).mean())


def with_rows(corpus, rows, **changes):
    """Copy of the corpus with its documents in another order."""
    counts = np.diff(corpus.token_offsets)[rows]
    tokens = np.concatenate(
        [corpus.token_ids[corpus.token_offsets[row] : corpus.token_offsets[row + 1]] for row in rows]
    )
    offsets = np.concatenate([[0], np.cumsum(counts)])
    pick = {"texts": tuple(corpus.texts[row] for row in rows), "ids": tuple(corpus.ids[row] for row in rows)}
    arrays = {name: getattr(corpus, name)[rows] for name in ("bow", "split", "labels")}
    return replace(corpus, **pick, **arrays, token_ids=tokens, token_offsets=offsets, **changes)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_labels_hold_the_planted_topics_words(variant):
    corpus = planted.corpus()
    values, vectors = labels_of(corpus, *variant)
    assert vectors.shape == (corpus.num_docs, 16)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=5e-3)
    shuffled = values[np.random.default_rng(0).permutation(corpus.num_docs)]
    assert share_of_own_words(values, corpus) > 0.7 > 0.3 > share_of_own_words(shuffled, corpus)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_order_of_documents_does_not_matter(variant):
    corpus = planted.corpus()
    order = np.random.default_rng(1).permutation(corpus.num_docs)
    values, vectors = labels_of(corpus, *variant)
    moved, moved_vectors = labels_of(with_rows(corpus, order), *variant)
    np.testing.assert_allclose(
        moved_vectors @ moved_vectors.T, (vectors @ vectors.T)[order][:, order], atol=1e-3
    )
    is_same = np.abs(moved - values[order]).max(axis=1) < 2e-3
    assert is_same.mean() > 0.9  # either of two equally near neighbours may be the 20th


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_held_out_documents_change_no_training_documents_label(variant):
    corpus = planted.corpus()
    train, other = corpus.rows("train"), np.setdiff1d(np.arange(corpus.num_docs), corpus.rows("train"))
    assert len(other) > 100
    values, _ = labels_of(corpus, *variant)
    fewer, _ = labels_of(with_rows(corpus, np.sort([*train, *other[:20]])), *variant)
    is_kept = np.isin(np.arange(corpus.num_docs), [*train, *other[:20]])
    np.testing.assert_allclose(fewer, values[is_kept], atol=1e-3)  # nor on one another
    held_out = with_rows(corpus, other)
    own = share_of_own_words(values[other], replace(held_out, bow=held_out.bow))
    assert own > 0.65


def test_a_document_without_words_gets_the_average_label():
    corpus = planted.corpus()
    rows = [corpus.rows("train")[3], corpus.rows("test")[3]]
    bow = corpus.bow.tolil()
    bow[rows] = 0
    texts = tuple("?" if row in rows else text for row, text in enumerate(corpus.texts))
    empty = replace(corpus, bow=sparse.csr_matrix(bow, dtype=np.int32), texts=texts)
    for variant in VARIANTS:  # over all words, centred, an average document ranks them equal up to rounding
        values, vectors = labels_of(empty, "teacher.top_k=null", *variant)
        assert not vectors[rows].any()
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values[rows[0]], values[rows[1]], rtol=2e-3)  # a step of float16
        by_topic = [values[rows[0]][owners(corpus) == topic].sum() for topic in range(5)]
        assert 0.1 < min(by_topic) <= max(by_topic) < 0.35, variant  # no topic is preferred


def test_ppmi_is_that_of_the_definition():
    bow = sparse.csr_matrix(np.array([[2, 1, 0, 0], [1, 3, 0, 0], [0, 1, 1, 1], [0, 0, 2, 1], [1, 0, 0, 0]]))
    holds = (bow.toarray() > 0).astype(float)
    together = holds.T @ holds * (1 - np.eye(4))
    contexts = together.sum(axis=0) ** 0.75
    share = together / together.sum()
    with np.errstate(divide="ignore"):
        expected = np.log(share / np.outer(share.sum(axis=1), contexts / contexts.sum()))
    np.testing.assert_allclose(_ppmi(bow).toarray(), np.maximum(expected, 0), atol=1e-12)


def test_a_word_lies_among_the_documents_of_its_topic():
    corpus = planted.corpus()
    documents, words = ppmi_vectors(corpus.bow, corpus.rows("train"), 16, 0)
    np.testing.assert_allclose(np.linalg.norm(documents, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, atol=1e-5)
    is_own = owners(corpus) == corpus.labels[:, None]
    cosine = documents @ words.T
    assert cosine[is_own].mean() > cosine[~is_own].mean() + 0.4


def test_the_seed_starts_the_decomposition_only():
    corpus = planted.corpus()
    cosines = [
        vectors @ vectors.T
        for vectors in (ppmi_vectors(corpus.bow, corpus.rows("train"), 16, seed)[0] for seed in (0, 1))
    ]
    np.testing.assert_allclose(*cosines, atol=1e-3)


def test_lsa_is_the_embedder_of_that_name(tmp_path):
    corpus, cfg = planted.corpus(), configuration("embedder.dim=16")
    embeddings = embed_corpus(cfg["embedder"], corpus, tmp_path, None)
    datamodule = TopicDataModule(corpus, None, cache_root=tmp_path)
    labels = soft_labels({**cfg["teacher"], "space": "lsa"}, datamodule, None)
    np.testing.assert_array_equal(labels.vectors, embeddings.vectors)
    assert len(list((tmp_path / "embeddings").glob("*/manifest.json"))) == 1


def test_fingerprint_names_only_what_is_read():
    datamodule = TopicDataModule(planted.corpus(), None)

    def fingerprint(*overrides):
        return make_teacher(configuration(*overrides)["teacher"], None).fingerprint(datamodule)

    assert fingerprint("teacher.centring=raw") == fingerprint()
    similar = "teacher.label=similarity"
    assert fingerprint("teacher.num_neighbours=5", similar) == fingerprint(similar)
    changes = ["teacher.num_neighbours=5", "teacher.space=lsa", "teacher.dim=8", "teacher.seed=1", similar]
    assert len({str(fingerprint(change)) for change in (*changes, "seed=0")}) == 6


def test_words_that_never_meet_teach_nothing():
    corpus = replace(planted.corpus(), bow=sparse.csr_matrix(np.eye(600, 100, dtype=np.int32)))
    with pytest.raises(ValueError, match="no two words are in a training document together"):
        labels_of(corpus)
