"""Titles, representatives and labels of topics."""

import numpy as np
import pytest

from topiclab.config.compose import compose
from topiclab.data.sources.corpora import load_corpus
from topiclab.data.unit_rows import unit_rows
from topiclab.describe.labels import clean_title, label_topics
from topiclab.describe.representatives import Representatives, representatives
from topiclab.describe.terms import Terms
from topiclab.describe.titles import first_sentence, shorten, titles_of


def vectors_and_theta(num=90, num_topics=3, dim=8, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(num, dim)) + 2 * np.eye(dim)[np.arange(num) % num_topics]
    theta = rng.dirichlet(np.full(num_topics, 0.5), num)
    theta[np.arange(num), np.arange(num) % num_topics] += 1
    return vectors, theta / theta.sum(axis=1, keepdims=True)


def marginal_relevance(rows, relevance, units, num, diversity):
    """Choose documents of one topic by the paper's formula, one after the other."""
    picked = []
    while len(picked) < min(num, len(rows)):
        rest = [row for row in rows if row not in picked]
        penalty = [max((float(units[row] @ units[other]) for other in picked), default=0) for row in rest]
        worth = [
            (1 - diversity) * relevance[row] - diversity * p for row, p in zip(rest, penalty, strict=True)
        ]
        picked.append(rest[int(np.argmax(worth))])
    return picked


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7, 1.0])
def test_representatives_are_those_of_the_formula(diversity):
    vectors, theta = vectors_and_theta()
    found = representatives(theta, vectors, 4, diversity)
    units, main = unit_rows(vectors), theta.argmax(axis=1)
    for topic in range(3):
        rows = np.flatnonzero(main == topic)
        relevance = units @ unit_rows((theta[:, topic] @ units)[None])[0]
        rows = rows[np.argsort(-relevance[rows])]
        assert found.nearest[topic].tolist() == rows[:4].tolist()
        np.testing.assert_allclose(found.nearest_similarity[topic], relevance[rows[:4]], rtol=1e-5)
        expected = marginal_relevance(rows.tolist(), relevance, units, 4, diversity)
        assert found.diverse[topic].tolist() == expected
        np.testing.assert_allclose(found.diverse_similarity[topic], relevance[expected], rtol=1e-5)


def likeness(rows, vectors):
    units = unit_rows(vectors)[rows]
    return float((units @ units.T)[np.triu_indices(len(rows), 1)].mean())


def test_diverse_documents_differ_more_and_without_diversity_they_are_the_nearest():
    vectors, theta = vectors_and_theta()
    same = representatives(theta, vectors, 5, 0.0)
    np.testing.assert_array_equal(same.nearest, same.diverse)
    wide = representatives(theta, vectors, 5, 0.6)
    assert wide.diverse[:, 0].tolist() == wide.nearest[:, 0].tolist()
    for topic in range(3):
        assert likeness(wide.diverse[topic], vectors) < likeness(wide.nearest[topic], vectors)


def test_copies_of_a_text_are_taken_once():
    vectors = np.repeat(np.eye(2), [4, 2], axis=0)
    texts = ["one text", "one  text", "another", "one text", "third", "third"]
    found = representatives(np.repeat(np.eye(2), [4, 2], axis=0), vectors, 3, 0.5, texts)
    assert found.nearest.tolist() == [[0, 2, -1], [4, -1, -1]]
    assert sorted(found.diverse[0].tolist()) == [-1, 0, 2]


def test_empty_topics_and_few_documents_leave_places_empty():
    theta = np.array([[0.6, 0.4, 0], [0.9, 0.1, 0]])
    found = representatives(theta, np.eye(2), 3, 0.5)
    assert found.nearest[1:].tolist() == found.diverse[1:].tolist() == [[-1] * 3] * 2
    assert sorted(found.nearest[0].tolist()) == [-1, 0, 1]
    np.testing.assert_array_equal(np.isnan(found.nearest_similarity), found.nearest < 0)
    single = representatives(np.ones((2, 1)), np.zeros((2, 4)), 1, 0.5)  # also for vectors of zeros
    assert single.nearest.tolist() == [[0]]


def test_without_vectors_the_share_of_the_topic_ranks():
    theta = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    found = representatives(theta, None, 2, 0.3)
    assert found.nearest.tolist() == [[1, 0], [2, -1]]
    assert found.nearest_similarity[0].tolist() == pytest.approx([0.9, 0.6])


def test_the_same_again_bit_for_bit_and_the_same_documents_whatever_the_blocks(monkeypatch):
    vectors, theta = vectors_and_theta()
    one, again = (representatives(theta, vectors.astype(np.float32), 4, 0.4) for _ in range(2))
    monkeypatch.setattr("topiclab.describe.representatives.BLOCK_BYTES", 1)
    other = representatives(theta, vectors.astype(np.float32), 4, 0.4)
    for name in ("nearest", "diverse"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        similarity = f"{name}_similarity"
        np.testing.assert_array_equal(getattr(one, similarity), getattr(again, similarity))
        np.testing.assert_allclose(getattr(one, similarity), getattr(other, similarity), rtol=1e-5)


def fixed(rows):
    nearest = np.array(rows)
    return Representatives(nearest, nearest.astype(np.float32), nearest, nearest.astype(np.float32))


def test_labels_are_different_and_never_empty():
    keywords = [["dark matter", "halo"], ["dark matter", "halo"], ["halo"], [], []]
    terms = Terms(keywords, [[1.0] * len(words) for words in keywords], [], keywords)
    titles = ["On halos", "On halos", "On dust", ""]
    labels = label_topics(terms, titles, fixed([[0, 2], [1, 2], [3, 1], [-1, -1], [-1, -1]]))
    assert labels == ["dark matter | On halos", "halo | On dust", "topic 2", "topic 3", "topic 4"]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("title", "cleaned"),
    [
        (r"On $\alpha$-decay of {\it H}$_2$O by Erd\H{o}s", "On alpha-decay of H_2O by Erdős"),
        ("Two\nlines\tand \x1b[1m colour\x07", "Two lines and [1m colour"),
        ("<script>alert('x')</script> & more", "<script>alert('x')</script> & more"),
        ("word " * 30, "word " * 15 + "word…"),
        ("x" * 100, "x" * 79 + "…"),
        ("", ""),
    ],
)
def test_titles_are_cleaned_for_labels(title, cleaned):
    assert clean_title(title) == cleaned
    assert len(clean_title(title)) <= 80


def test_titles_are_cut_behind_words():
    assert shorten("one two, three", 10) == "one two…"
    assert shorten("one two three", 13) == "one two three"
    assert first_sentence("  We prove it. Then we rest.") == "We prove it."
    assert first_sentence("We use e.g. this. Then that") == "We use e.g. this."
    assert first_sentence("这是第一句。这是第二句。") == "这是第一句。"
    assert len(first_sentence("many words " * 90)) <= 100


def test_titles_of_a_corpus_come_from_a_column_or_from_the_text(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("text,name\nThe cat sat. It ran.,A  cat\nThe dog sat on it,\nA fox and a cat,Fox\n")
    overrides = ["data=file", f"data.path={path}", "data.vocabulary.min_df=1", "data.vocabulary.max_df=1.0"]
    with_titles = load_corpus(compose([*overrides, "data.title_column=name"])["data"])
    assert with_titles.titles == ("A  cat", "", "Fox")
    assert titles_of(with_titles) == ["A cat", "The dog sat on it", "Fox"]
    without = load_corpus(compose(overrides)["data"])
    assert without.titles is None
    assert titles_of(without) == ["The cat sat.", "The dog sat on it", "A fox and a cat"]
    assert without.fingerprint == with_titles.fingerprint
    with pytest.raises(ValueError, match="no column nome"):
        load_corpus(compose([*overrides, "data.title_column=nome"])["data"])


def test_titles_are_no_part_of_the_hash_of_a_configuration(tmp_path):
    from topiclab.config.identity import config_hash

    path = tmp_path / "posts.csv"
    path.write_text("text,name\na,b\n")
    one, other = (
        compose(["data=file", f"data.path={path}", f"data.title_column={name}"]) for name in ("name", "null")
    )
    assert config_hash(one) == config_hash(other)
