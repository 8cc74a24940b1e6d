"""The tree of topics, and topics merged along it."""

import numpy as np
import pytest

from topiclab.describe.tree import merge_topics, topic_centroids, topic_tree
from topiclab.report.figures.dendrogram import branch_colours
from topiclab.result import TopicResult, rank_words

V, D, E = 60, 400, 12


def planted(pairs, num_topics, rng):
    """Make beta (K, V) on the topics' own words, of which the topics of a pair share half."""
    beta = np.full((num_topics, V), 1e-4)
    width = V // num_topics
    for topic in range(num_topics):
        beta[topic, topic * width : (topic + 1) * width] += rng.uniform(0.5, 1, width)
    for one, other in pairs:
        both = beta[one] + beta[other]
        beta[one], beta[other] = beta[one] + 0.5 * both, beta[other] + 0.5 * both
    return beta / beta.sum(axis=1, keepdims=True)


def result(num_topics=6, seed=0, top_words=None):
    rng = np.random.default_rng(seed)
    beta = planted([(0, 3), (1, 4)], num_topics, rng).astype(np.float32)
    theta = rng.dirichlet(np.full(num_topics, 0.2), D).astype(np.float32)
    words = rank_words(beta, 20) if top_words is None else top_words
    return TopicResult(theta, beta, tuple(f"w{word}" for word in range(V)), words, np.ones(D))


def tree_of(given):
    sizes = np.bincount(given.theta.argmax(axis=1), minlength=given.num_topics)
    return topic_tree(given.beta, None, sizes)


def pairs_of(tree):
    return {frozenset(row) for row in tree.merges[:2, :2].astype(int).tolist()}


@pytest.mark.parametrize("seed", range(5))
def test_near_pairs_join_first_by_words_by_places_and_by_both(seed):
    rng = np.random.default_rng(seed)
    beta = planted([(0, 3), (1, 4)], 6, rng)
    flat = planted([], 6, rng)
    places = rng.normal(size=(6, E))
    places[3], places[4] = places[0] + 0.2 * rng.normal(size=E), places[1] + 0.2 * rng.normal(size=E)
    far = rng.normal(size=(6, E))
    expected = {frozenset((0, 3)), frozenset((1, 4))}
    assert pairs_of(topic_tree(beta, None, np.ones(6))) == expected
    assert pairs_of(topic_tree(flat, places + 50, np.ones(6))) == expected  # a common shift changes nothing
    assert pairs_of(topic_tree(beta, places, np.ones(6))) == expected
    assert pairs_of(topic_tree(flat, far, np.ones(6))) != expected


def test_heights_rise_and_leaves_are_all_there_once():
    tree = topic_tree(np.random.default_rng(0).dirichlet(np.ones(V), 40), None, np.ones(40))
    assert (np.diff(tree.merges[:, 2]) >= 0).all()
    assert sorted(tree.order) == list(range(40))
    assert tree.merges[-1, 3] == 40
    assert len(branch_colours(tree.merges, tree.order)) == 39


def test_numbering_of_topics_changes_no_group():
    given, permutation = result(), np.array([4, 2, 0, 5, 1, 3])
    tree = tree_of(given)
    moved = topic_tree(given.beta[permutation], None, np.ones(6))
    for num in range(1, 7):
        one, other = tree.groups(num)[permutation], moved.groups(num)
        assert len(set(zip(one.tolist(), other.tolist(), strict=True))) == num == len(set(other.tolist()))


@pytest.mark.parametrize("num", [1, 2, 4, 5, 6])
def test_merged_topics_are_sums_and_means_by_mass(num):
    given = result()
    tree = tree_of(given)
    merged, groups = merge_topics(given, tree, num), tree.groups(num)
    assert merged.num_topics == num
    mass = given.theta.sum(axis=0, dtype=np.float64)
    for group in range(num):
        members = np.flatnonzero(groups == group)
        np.testing.assert_allclose(merged.theta[:, group], given.theta[:, members].sum(axis=1), atol=1e-6)
        expected = np.average(given.beta[members], axis=0, weights=mass[members])
        np.testing.assert_allclose(merged.beta[group], expected, atol=1e-6)
        assert merged.info["merged"][group] == members.tolist()
    np.testing.assert_allclose(merged.theta.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(merged.top_words, rank_words(merged.beta, 20))
    assert merged.vocab == given.vocab
    assert merged.word_nll is None
    # all topics together give each word the same mass as before
    before, after = mass @ given.beta, merged.theta.sum(axis=0) @ merged.beta
    np.testing.assert_allclose(before, after, rtol=1e-4)


def test_merging_to_all_topics_changes_nothing():
    given = result()
    merged = merge_topics(given, tree_of(given), 6)
    np.testing.assert_allclose(merged.theta, given.theta, atol=1e-7)
    np.testing.assert_allclose(merged.beta, given.beta, atol=1e-7)
    np.testing.assert_array_equal(merged.top_words, given.top_words)


def test_own_ranking_of_words_is_kept():
    """If a model does not rank words by beta, a single topic keeps its list and a merged one mixes them."""
    own = np.random.default_rng(1).permuted(np.tile(np.arange(V), (6, 1)), axis=1)[:, :15].astype(np.int32)
    given = result(top_words=own)
    tree = tree_of(given)
    merged, groups = merge_topics(given, tree, 4), tree.groups(4)
    for group in range(4):
        members = np.flatnonzero(groups == group)
        if len(members) == 1:
            np.testing.assert_array_equal(merged.top_words[group], own[members[0]])
        else:
            mass = given.theta.sum(axis=0)[members]
            assert merged.top_words[group, 0] == own[members[mass.argmax()], 0]
            assert set(merged.top_words[group]) <= set(own[members].ravel())
    assert merged.top_words.shape == (4, 15)


def test_topics_without_mass_are_merged():
    given = result()
    theta = given.theta.copy()
    theta[:, 0] = theta[:, 3] = 0
    theta /= theta.sum(axis=1, keepdims=True)
    empty = TopicResult(theta, given.beta, given.vocab)
    merged = merge_topics(empty, tree_of(given), 4)
    group = tree_of(given).groups(4)[0]
    np.testing.assert_allclose(merged.beta[group], given.beta[[0, 3]].mean(axis=0), atol=1e-6)
    assert merged.theta[:, group].max() == 0


@pytest.mark.parametrize("num", [0, 7])
def test_impossible_numbers_are_refused(num):
    given = result()
    with pytest.raises(ValueError, match=f"6 topics cannot be merged to {num}; give a number from 1 to 6"):
        merge_topics(given, tree_of(given), num)


@pytest.mark.parametrize("num_topics", [1, 2])
def test_one_and_two_topics(num_topics):
    beta = np.random.default_rng(0).dirichlet(np.ones(V), num_topics)
    tree = topic_tree(beta, np.random.default_rng(1).normal(size=(num_topics, E)), np.ones(num_topics))
    assert tree.merges.shape == (num_topics - 1, 4)
    assert sorted(tree.order) == list(range(num_topics))
    assert tree.groups(1).tolist() == [0] * num_topics


def test_equal_topics_are_at_distance_zero():
    beta = np.tile(np.random.default_rng(0).dirichlet(np.ones(V)), (4, 1))
    tree = topic_tree(beta, np.ones((4, E)), np.zeros(4))
    assert np.isfinite(tree.merges).all()
    assert tree.groups(2).max() == 1


def test_centroids_are_means_by_share():
    rng = np.random.default_rng(0)
    theta, vectors = rng.dirichlet(np.ones(3), 50), rng.normal(size=(50, E)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = topic_centroids(theta, 7 * vectors)
    for topic in range(3):
        np.testing.assert_allclose(found[topic], np.average(unit, axis=0, weights=theta[:, topic]), atol=1e-5)
    theta[:, 1] = 0
    np.testing.assert_allclose(topic_centroids(theta, vectors)[1], unit.mean(axis=0), atol=1e-6)
