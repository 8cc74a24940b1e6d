"""Alignment of topics: 1 for the same topics in another order, chance for independent ones."""

import numpy as np
import pytest

from topiclab.metrics.alignment import alignment, debiased_cka, match_topics, recall_at, ridge_map
from topiclab.metrics.clustering import normalized_mutual_information

RNG = np.random.default_rng(0)


def topics(num_docs=200, num_topics=6, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(num_topics, 0.2), num_docs)


def is_fitted_on(num_docs=200):
    return np.arange(num_docs) % 2 == 0


def test_the_same_topics_in_another_order_agree_wholly():
    theta = topics()
    found = alignment(theta, theta[:, [3, 1, 5, 0, 2, 4]], is_fitted_on(), 40, np.random.default_rng(1))
    for name in ("cka", "matched_correlation", "matched_top1", "nmi"):
        assert found[name].value == pytest.approx(1)
    assert found["recall@1"].value > 0.8
    assert all(measure.z > 5 for measure in found.values())


def test_independent_topics_are_at_the_level_of_permuted_pairs():
    found = alignment(topics(), topics(seed=1), is_fitted_on(), 200, np.random.default_rng(1))
    assert abs(found["cka"].null) < 0.01
    for measure in found.values():
        assert abs(measure.z) < 4


def test_cka_without_bias_is_0_where_the_usual_one_is_not():
    wide, other = RNG.normal(size=(2, 40, 60))
    linear = [rows @ rows.T for rows in (wide - wide.mean(axis=0), other - other.mean(axis=0))]
    biased = (linear[0] * linear[1]).sum() / np.linalg.norm(linear[0]) / np.linalg.norm(linear[1])
    assert biased > 0.4
    assert abs(debiased_cka(wide, other)) < 0.15
    assert debiased_cka(wide, wide @ np.linalg.qr(RNG.normal(size=(60, 60)))[0]) == pytest.approx(1)


def test_cka_of_constants_is_undefined():
    assert np.isnan(debiased_cka(np.ones((8, 2)), topics(8, 2)))


def test_main_topics_share_the_usual_mutual_information():
    theta, other = topics(), topics(seed=1)
    found = alignment(theta, other + theta, is_fitted_on(), 3, np.random.default_rng(1))["nmi"].value
    mains = theta[1::2].argmax(axis=1), (other + theta)[1::2].argmax(axis=1)
    assert found == pytest.approx(normalized_mutual_information(*mains))


def test_topics_are_matched_one_to_one():
    theta = topics(num_topics=4)
    rows, columns = match_topics(theta, theta[:, [2, 0, 3]])
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 2: 0, 3: 2}


def test_equal_rows_share_a_recall():
    same = np.ones((4, 4))
    assert recall_at(same, (1, 3)).tolist() == [0.25, 0.75]
    assert recall_at(np.eye(4), (1, 3)).tolist() == [1, 1]
    assert recall_at(1 - np.eye(4), (1, 3)).tolist() == [0, 0]


def test_the_ridge_map_finds_a_linear_one():
    rows, matrix = RNG.normal(size=(500, 4)), RNG.normal(size=(4, 3))
    guessed = ridge_map(rows, rows @ matrix + 2, rows)
    assert np.corrcoef(guessed.ravel(), (rows @ matrix + 2).ravel())[0, 1] > 0.999


def test_too_few_pairs_are_refused():
    with pytest.raises(ValueError, match="give at least 4 of each"):
        alignment(topics(6), topics(6), is_fitted_on(6) & False, 1, RNG)
