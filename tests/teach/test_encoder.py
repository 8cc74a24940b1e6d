"""Soft labels from similarity of document and word vectors: planted topics, centring, held-out documents."""

from dataclasses import replace
from functools import cache

import numpy as np
import planted
import pytest
from scipy import sparse

from topiclab.config.compose import ConfigError, compose
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.targets import distributions
from topiclab.embed.embedder import embed_words
from topiclab.embed.random import RandomEmbedder
from topiclab.teach.encoder import centroids
from topiclab.teach.similarity import TEMPERATURES, Similarity
from topiclab.teach.soft_labels import make_teacher, soft_labels

VARIANTS = [
    [f"teacher.words={words}", f"teacher.centring={centring}"]
    for words in ("alone", "template", "centroid")
    for centring in ("raw", "centred", "zscore")
]


@cache
def configuration(*overrides):
    return compose(["data=synthetic", "teacher=encoder", "embedder.dim=16", *overrides])


def datamodule(corpus, vectors=None, words=None):
    """Make a data module with LSA vectors of the planted corpus's documents and words, or given ones."""
    vectors = planted.vectors() if vectors is None else vectors
    return TopicDataModule(corpus, vectors, word_vectors=words or lsa_words)


@cache
def lsa_words(template="{word}"):
    return embed_words(configuration()["embedder"], planted.corpus(), None, None, template=template)


def values_of(data, *overrides):
    """Return targets (D, V), float32."""
    teacher = configuration(*overrides)["teacher"]
    values = distributions(soft_labels(teacher, data, None), teacher["temperature"]).values
    return values.toarray() if sparse.issparse(values) else values.astype(np.float32)


def mass_of_own_words(values, corpus):
    """Mass (D,) on the words of each document's own planted topic."""
    uses = np.stack([corpus.bow[corpus.labels == label].sum(axis=0).A1 for label in range(5)])
    return (values * (uses.argmax(axis=0) == corpus.labels[:, None])).sum(axis=1)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_labels_hold_the_planted_topics_words(variant):
    corpus = planted.corpus()
    values = values_of(datamodule(corpus), *variant)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=5e-3)
    assert mass_of_own_words(values, corpus).mean() > 0.7
    unrelated = RandomEmbedder(16).encode(corpus.vocab)
    if "teacher.words=centroid" not in variant:
        control = values_of(datamodule(corpus, words=lambda template="": unrelated), *variant)
        assert mass_of_own_words(control, corpus).mean() < 0.4


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_other_held_out_documents_change_no_label(variant):
    corpus = planted.corpus()
    vectors = np.array(planted.vectors())
    held_out = corpus.split > 0
    moved = np.where(held_out[:, None], vectors[::-1] + 1, vectors)
    counts = corpus.bow.toarray()
    counts[held_out] = counts[held_out][:, ::-1]
    changed = replace(corpus, bow=sparse.csr_matrix(counts))
    one = values_of(datamodule(corpus), *variant)
    two = values_of(datamodule(changed, moved), *variant)
    np.testing.assert_array_equal(one[~held_out], two[~held_out])
    assert np.abs(one[held_out] - two[held_out]).max() > 0.05


def test_order_of_documents_does_not_matter():
    corpus = planted.corpus()
    order = np.random.default_rng(0).permutation(corpus.num_docs)
    arrays = {name: getattr(corpus, name)[order] for name in ("bow", "split", "labels")}
    moved = replace(corpus, texts=tuple(corpus.texts[row] for row in order), **arrays)
    for variant in VARIANTS:
        one = values_of(datamodule(corpus), *variant)
        two = values_of(datamodule(moved, planted.vectors()[order]), *variant)
        np.testing.assert_allclose(two, one[order], atol=1e-3)


@pytest.mark.parametrize("centring", TEMPERATURES)
@pytest.mark.parametrize("shares", [None, np.array([0.5, 0.2, 0.3])], ids=["uniform", "frequency"])
def test_logits_are_those_of_the_definition(centring, shares):
    rng = np.random.default_rng(0)
    documents, words = rng.standard_normal((20, 4)) + 1, rng.standard_normal((3, 4))
    cosine = (documents / np.linalg.norm(documents, axis=1, keepdims=True)) @ (
        words / np.linalg.norm(words, axis=1, keepdims=True)
    ).T
    train = np.arange(15)
    expected = cosine - (0 if centring == "raw" else cosine[train].mean(axis=0))
    expected = expected / (cosine[train].std(axis=0) if centring == "zscore" else 1) / TEMPERATURES[centring]
    expected = expected + (0 if shares is None else np.log(shares))
    similarity = Similarity(documents, words, train, centring, shares)
    np.testing.assert_allclose(similarity.logits(np.arange(20)), expected, atol=1e-4)


@pytest.mark.parametrize("centring", TEMPERATURES)
def test_what_has_no_direction(centring):
    documents = np.array([[1, 0], [0, 1], [0, 0], [1, 1]], np.float32)
    words = np.array([[1, 0.5], [0, 0], [0.5, 1]], np.float32)
    similarity = Similarity(documents, words, np.arange(3), centring)
    logits = similarity.logits(np.arange(4))
    assert np.isneginf(logits[:, 1]).all()
    assert np.isfinite(logits[:, [0, 2]]).all()
    np.testing.assert_allclose(logits[2], logits[:2].mean(axis=0), atol=1e-5)
    assert similarity.facts() == {"words_without_label": 1, "documents_without_vector": 1}
    np.testing.assert_array_equal(documents[2], 0)
    with pytest.raises(ValueError, match="no word of the vocabulary has a vector"):
        Similarity(documents, 0 * words, np.arange(3), centring)


def test_documents_without_words_are_labelled_by_their_vectors():
    corpus = planted.corpus()
    counts = corpus.bow.toarray()
    counts[::7] = 0
    empty = replace(corpus, bow=sparse.csr_matrix(counts))
    for variant in VARIANTS:
        values = values_of(datamodule(empty), *variant)
        assert np.isfinite(values).all()
        assert mass_of_own_words(values, corpus)[::7].mean() > 0.7


def test_centroids_are_means_of_the_training_documents_that_hold_the_word():
    data = datamodule(planted.corpus())
    found = centroids(data)
    holds = data.train_bow.toarray() > 0
    unit = data.train_embeddings / np.linalg.norm(data.train_embeddings, axis=1, keepdims=True)
    for word in (0, 50, 99):
        np.testing.assert_allclose(found[word], unit[holds[:, word]].mean(axis=0), atol=1e-5)


def test_the_input_is_the_embedders():
    data = datamodule(planted.corpus())
    labels = soft_labels(configuration()["teacher"], data, None)
    np.testing.assert_array_equal(labels.vectors, data.embeddings)


def test_words_are_read_in_the_template():
    corpus, cfg = planted.corpus(), configuration("embedder=random", "embedder.dim=16")
    framed = embed_words(cfg["embedder"], corpus, None, None, template="on {word}: {word}")
    expected = RandomEmbedder(16).encode([f"on {word}: {word}" for word in corpus.vocab])
    np.testing.assert_array_equal(framed, expected)
    with pytest.raises(
        ConfigError, match=r"teacher.template=topic is refused: give a text with \{word\} in it"
    ):
        configuration("teacher.template=topic")


def test_fingerprint_names_only_what_is_read():
    data = datamodule(planted.corpus())

    def fingerprint(*overrides):
        return make_teacher(configuration(*overrides)["teacher"], None).fingerprint(data)

    assert fingerprint("teacher.template='a {word}'") == fingerprint("teacher.words=centroid")
    framed = "teacher.words=template"
    variants = [
        [],
        [framed],
        [framed, "teacher.template='a {word}'"],
        ["teacher.words=alone"],
        ["teacher.centring=raw"],
        ["teacher.prior=frequency"],
    ]
    assert len({str(fingerprint(*variant)) for variant in variants}) == 6


def test_an_embedder_is_needed():
    corpus = planted.corpus()
    with pytest.raises(ValueError, match="teacher=encoder needs document vectors"):
        values_of(TopicDataModule(corpus, None))
    without_words = TopicDataModule(corpus, datamodule(corpus).embeddings)
    with pytest.raises(ValueError, match=r"use teacher\.words=centroid"):
        values_of(without_words, "teacher.words=alone")
    assert values_of(without_words, "teacher.words=centroid").shape == (600, corpus.num_words)
