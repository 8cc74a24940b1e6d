"""Precision at k against brute-force divergences, ties against every order, hand examples."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topiclab.metrics import retrieval
from topiclab.metrics.retrieval import precision_at
from topiclab.metrics.undefined import UndefinedMetric

DEPTHS = (1, 5, 10)


def brute_force(theta, labels, queries, candidates, depths=DEPTHS):
    """Compute every divergence, one query after the other; ties in row order."""
    theta, shares = theta.astype(np.float64), []
    for query in queries:
        others = candidates[candidates != query]
        ratio = np.log(theta[query] + 1e-12) - np.log(theta[others] + 1e-12)
        nearest = others[np.argsort((theta[query] * ratio).sum(axis=1), kind="stable")]
        shares.append([(labels[nearest[:depth]] == labels[query]).mean() for depth in depths])
    return np.mean(shares, axis=0)


def mixtures(num_docs, num_topics, seed=0, concentration=0.2):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(num_topics, concentration), num_docs).astype(np.float32)


@pytest.mark.parametrize(("num_docs", "num_topics"), [(60, 3), (173, 20), (400, 50)])
@pytest.mark.parametrize("block", [1, 1 << 12])
def test_the_matrix_product_ranks_as_every_divergence_does(num_docs, num_topics, block, monkeypatch):
    monkeypatch.setattr(retrieval, "BLOCK_SCORES", block)
    theta = mixtures(num_docs, num_topics)
    labels = np.random.default_rng(1).integers(0, 4, num_docs)
    train, test = np.arange(num_docs * 3 // 4), np.arange(num_docs * 3 // 4, num_docs)
    for queries in (train, test):
        expected = brute_force(theta, labels, queries, train)
        np.testing.assert_allclose(precision_at(theta, labels, queries, train), expected, rtol=1e-12)


def test_by_hand():
    theta = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.2, 0.8]], dtype=np.float32)
    rows = np.arange(4)
    # nearest to 0: 1, 2, 3; to 1: 0, 2, 3 (KL .044 and .092); to 2: 1, 0, 3; to 3: 2, 1, 0
    np.testing.assert_allclose(
        precision_at(theta, np.array([0, 1, 0, 1]), rows, rows, (1, 2, 3)), [0, 3 / 8, 1 / 3]
    )
    np.testing.assert_allclose(precision_at(theta, np.array([0, 0, 1, 1]), rows, rows, (1,)), [3 / 4])


@given(
    topics=st.lists(st.integers(0, 2), min_size=4, max_size=6),
    labels=st.lists(st.integers(0, 1), min_size=4, max_size=4),
    depth=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_ties_count_by_their_mean_over_every_order_of_the_documents(topics, labels, depth):
    theta, labels = np.eye(3, dtype=np.float32)[topics], np.array([0, 1, *labels][: len(topics)])
    rows = np.arange(len(topics))
    orders = [np.array(order) for order in itertools.permutations(range(len(topics)))]
    shares = [brute_force(theta[order], labels[order], rows, rows, [depth]) for order in orders]
    np.testing.assert_allclose(precision_at(theta, labels, rows, rows, [depth]), np.mean(shares, axis=0))


def test_order_of_documents_and_of_topics_changes_nothing():
    theta = np.concatenate([mixtures(90, 8), np.eye(8, dtype=np.float32)[np.arange(60) % 8]])
    labels = np.random.default_rng(1).integers(0, 3, 150)
    rows, order = np.arange(150), np.random.default_rng(2).permutation(150)
    expected = precision_at(theta, labels, rows, rows)
    turned = precision_at(theta[order][:, ::-1], labels[order], rows, rows)
    np.testing.assert_allclose(turned, expected, rtol=1e-12)


def test_clusters_have_the_share_of_pairs_that_agree_at_every_depth():
    topics = np.arange(120) % 3
    labels = np.random.default_rng(0).integers(0, 2, 120)
    rows = np.arange(120)
    agree = (labels[:, None] == labels) & (topics[:, None] == topics) & ~np.eye(120, dtype=bool)
    found = precision_at(np.eye(3, dtype=np.float32)[topics], labels, rows, rows)
    np.testing.assert_allclose(found, agree.sum() / (120 * 39))


def test_documents_without_label_neither_ask_nor_answer():
    theta, rows = mixtures(80, 5), np.arange(80)
    labels = np.random.default_rng(1).integers(-1, 3, 80)
    known = rows[labels >= 0]
    np.testing.assert_allclose(
        precision_at(theta, labels, rows, rows), precision_at(theta, labels, known, known)
    )
    with pytest.raises(UndefinedMetric, match="at least two labels"):
        precision_at(theta, labels, rows[labels < 0], rows)


def test_depths_beyond_the_candidates_have_no_value():
    theta, rows, labels = np.full((6, 2), 0.5, np.float32), np.arange(6), np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(precision_at(theta, labels, rows, rows), [0.4, 0.4, np.nan])
    np.testing.assert_allclose(precision_at(theta, labels, rows, rows[:5], (5, 6)), [np.nan, np.nan])
    np.testing.assert_allclose(
        precision_at(theta, labels, rows[2:4], rows[4:], (1, 2, 3)), [0.5, 0.5, np.nan]
    )
