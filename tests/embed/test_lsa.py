"""LSA, random and precomputed vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from embedding_corpus import embedding_corpus
from made_settings import adaptation
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from topiclab.config.instantiate import build
from topiclab.embed.embedder import corpus_as_read, embed_corpus, embed_words, is_fitted
from topiclab.embed.lsa import LsaEmbedder, words

LSA = {"_target_": "topiclab.embed.lsa.LsaEmbedder", "name": "lsa", "dim": 16}
RANDOM = {"_target_": "topiclab.embed.random.RandomEmbedder", "dim": 8}


def planted(num_docs: int = 300, num_topics: int = 5) -> tuple[list[str], np.ndarray]:
    """Make texts of 12 words: most from the topic's own 20, some shared by all topics."""
    rng = np.random.default_rng(0)
    labels = rng.integers(num_topics, size=num_docs)
    letters = "abcdefghijklmnopqrst"
    shared = [f"the{letter}" for letter in letters[:5]]
    texts = []
    for label in labels:
        own = [f"topic{letters[label]}{letter}" for letter in rng.choice(list(letters), 8)]
        texts.append(" ".join([*own, *rng.choice(shared, 4)]))
    return texts, labels


def precomputed(path: Path) -> dict:
    return {"_target_": "topiclab.embed.precomputed.PrecomputedEmbedder", "path": str(path)}


def test_planted_topics_separate_also_in_unseen_documents(tmp_path: Path) -> None:
    texts, labels = planted()
    embeddings = embed_corpus(LSA, embedding_corpus(texts, num_train=200), tmp_path, None)
    assert embeddings.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)
    clusters = KMeans(5, n_init=5, random_state=0).fit(np.asarray(embeddings.vectors[:200]))
    assert normalized_mutual_info_score(labels[:200], clusters.labels_) > 0.9
    unseen = clusters.predict(embeddings.embedder.encode(texts[200:]))
    assert normalized_mutual_info_score(labels[200:], unseen) > 0.9


def test_only_training_rows_are_read() -> None:
    texts, _ = planted(60)
    other = texts[:40] + ["something else entirely"] * 20
    one = embed_corpus(LSA, embedding_corpus(texts, num_train=40), None, None)
    two = embed_corpus(LSA, embedding_corpus(other, num_train=40), None, None)
    np.testing.assert_allclose(one.vectors[:40], two.vectors[:40], atol=1e-6)
    assert not two.vectors[40:].any()  # none of their terms is known: the zero vector, not NaN


def test_cached_state_and_determinism(tmp_path: Path) -> None:
    texts, _ = planted(80)
    corpus = embedding_corpus(texts, num_train=60)
    first, again = embed_corpus(LSA, corpus, tmp_path, None), embed_corpus(LSA, corpus, tmp_path, None)
    assert (first.is_cached, again.is_cached, first.key) == (False, True, again.key)
    np.testing.assert_array_equal(first.vectors, embed_corpus(LSA, corpus, None, None).vectors)
    np.testing.assert_array_equal(again.embedder.encode(texts), first.embedder.encode(texts))
    assert embed_corpus(LSA, embedding_corpus(texts, num_train=61), tmp_path, None).key != first.key


def test_state_makes_it_whole_elsewhere() -> None:
    texts, _ = planted(60)
    fitted = LsaEmbedder(dim=8).fit(texts)
    state = {name: np.array(array) for name, array in fitted.state().items()}
    assert all(np.issubdtype(array.dtype, np.number) for array in state.values())
    loaded = LsaEmbedder(dim=8).load_state(state)
    np.testing.assert_array_equal(loaded.encode(texts), fitted.encode(texts))
    assert is_fitted(loaded)


def test_order_of_documents_does_not_matter() -> None:
    texts, _ = planted(60)
    order = np.random.default_rng(1).permutation(60)
    one, two = LsaEmbedder(dim=8).fit(texts), LsaEmbedder(dim=8).fit([texts[row] for row in order])
    similarity = one.encode(texts) @ one.encode(texts).T
    np.testing.assert_allclose(two.encode(texts) @ two.encode(texts).T, similarity, atol=1e-3)


def test_words_lie_in_the_documents_space(tmp_path: Path) -> None:
    texts, labels = planted()
    corpus = embedding_corpus(texts, vocab=("topicab", "topicbb", "unseen"))
    vectors = embed_words(LSA, corpus, tmp_path, None)
    documents = embed_corpus(LSA, corpus, tmp_path, None).vectors
    similarity = documents @ vectors[:2].T
    for topic in (0, 1):
        own, other = similarity[labels == topic, topic], similarity[labels != topic, topic]
        assert own.mean() > other.mean() + 0.3
    assert not vectors[2].any()


def test_known_words_are_another_key_and_raw_texts_keep_theirs() -> None:
    texts, _ = planted(60)
    corpus = embedding_corpus(texts)
    raw, words_only = corpus_as_read(corpus, "raw"), corpus_as_read(corpus, "bow")
    assert raw is corpus
    assert set(words_only.texts) == {""}  # the corpus of this test has no tokens
    keys = {embed_corpus(RANDOM, read, None, None).key for read in (corpus, raw, words_only)}
    assert len(keys) == 2
    vectors = embed_corpus(RANDOM, words_only, None, None).vectors
    np.testing.assert_array_equal(vectors, np.repeat(vectors[:1], 60, axis=0))


def test_words_of_any_script() -> None:
    assert words("The C3PO's naïve Straße, x 42") == ["the", "c3po", "naïve", "straße"]
    assert words("привет мир") == ["привет", "мир"]
    assert words("机器学习 deep学习") == ["机器", "器学", "学习", "deep", "学习"]


def test_tokenizer_is_a_dotted_name() -> None:
    texts = ["a,b,c", "a,b,d", "c,d,e"] * 3
    embedder = LsaEmbedder(dim=2, tokenizer="embedding_corpus.commas").fit(texts)
    assert sorted(embedder.terms) == ["a", "b", "c", "d", "e"]
    assert embedder.fingerprint() != LsaEmbedder(dim=2).fingerprint()


def test_small_corpora() -> None:
    assert LsaEmbedder(dim=128).fit(["alpha beta", "beta gamma", "alpha gamma"]).dim == 3
    with pytest.raises(ValueError, match=r"min_df=2 of 2 texts"):
        LsaEmbedder().fit(["alpha", "beta"])


def test_random_vectors_follow_text_and_seed() -> None:
    embedder = build(RANDOM, None)
    vectors = embedder.encode(["a", "b", "a"])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert abs(vectors[0] @ vectors[1]) < 0.99
    assert np.abs(build({**RANDOM, "seed": 1}, None).encode(["a"]) - vectors[:1]).max() > 0.01


def test_precomputed_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6.0).reshape(3, 2))
    embeddings = embed_corpus(precomputed(path), embedding_corpus(["a", "b", "c"]), tmp_path, None)
    np.testing.assert_array_equal(embeddings.vectors, np.arange(6.0).reshape(3, 2))
    assert embeddings.vectors.dtype == np.float32
    np.testing.assert_array_equal(embeddings.embedder.encode(["c", "a"]), [[4, 5], [0, 1]])
    with pytest.raises(ValueError, match="no vector for 1 of 1 texts, first 'new'"):
        embeddings.embedder.encode(["new"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 4)), r"has 2 rows, the corpus 3 documents"),
        (np.ones(3), r"has shape \(3,\)"),
        (np.array([[1.0], [np.nan], [2.0]]), r"not finite in 1 rows, first \[1\]"),
        (np.ones((3, 2), np.int64), r"holds int64"),
        (np.array([["a"], ["b"], ["c"]]), r"holds <U1"),
        (np.array([[{}]], dtype=object), r"not a whole \.npy file"),
    ],
)
def test_precomputed_faults(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = tmp_path / "x.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        embed_corpus(precomputed(path), embedding_corpus(["a", "b", "c"]), None, None)


def test_precomputed_path_is_required(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"embedder\.path=<file\.npy>"):
        build({**precomputed(tmp_path), "path": None}, None)
    with pytest.raises(FileNotFoundError, match="is not a file"):
        build(precomputed(tmp_path / "none.npy"), None)


def test_only_a_language_model_can_be_adapted() -> None:
    with pytest.raises(
        ValueError, match=r"mode\.adapt=simcse tunes a language model, and embedder=lsa is not one"
    ):
        embed_corpus(LSA, embedding_corpus(["a"]), None, None, adapt=adaptation("simcse"))


def test_marks_stay_with_their_letters() -> None:
    assert words("किसान खेती में") == ["किसान", "खेती", "में"]
    assert words("cafe\u0301 CAFÉ") == ["café", "café"]  # decomposed and composed are one term
    assert words("ที่นี่") == ["ที่นี่"]  # two Thai letters with their marks are one pair
