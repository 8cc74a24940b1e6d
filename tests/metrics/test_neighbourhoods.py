"""Neighbourhood preservation against scikit-learn, code sets of planted words, exchanges within bands."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from topiclab.metrics import code_sets
from topiclab.metrics.neighbourhoods import (
    cosines,
    hubness,
    neighbour_ranks,
    num_neighbours,
    overlap,
    preservation,
)

RNG = np.random.default_rng(0)


def distances(vectors):
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=2)


def ranks_of(vectors, seed=0):
    return neighbour_ranks(-distances(vectors), np.random.default_rng(seed))


def test_trust_and_continuity_are_those_of_scikit_learn():
    rich, poor = RNG.normal(size=(60, 8)), RNG.normal(size=(60, 2))
    poor += rich[:, :2]
    found = preservation(ranks_of(rich), ranks_of(poor))
    assert found.trust == pytest.approx(trustworthiness(rich, poor, n_neighbors=10))
    assert found.continuity == pytest.approx(trustworthiness(poor, rich, n_neighbors=10))
    assert found.overlap == overlap(ranks_of(rich), ranks_of(poor))


def test_a_space_keeps_itself_and_random_order_keeps_chance():
    vectors = RNG.normal(size=(400, 6))
    same = preservation(ranks_of(vectors), ranks_of(vectors))
    assert (same.trust, same.continuity, same.overlap) == (1, 1, 1)
    nothing = preservation(ranks_of(vectors), neighbour_ranks(np.zeros((400, 400)), RNG))
    assert nothing.overlap == pytest.approx(10 / 399, abs=0.01)
    assert nothing.trust == pytest.approx(0.5, abs=0.02)


def test_equally_near_items_come_in_random_order():
    first, second = (neighbour_ranks(np.zeros((30, 30)), np.random.default_rng(seed)) for seed in (0, 1))
    assert (first.diagonal() == 0).all()
    assert (np.sort(first, axis=1) == np.arange(30)).all()
    assert (first != second).any()


def test_a_hub_is_seen():
    around = RNG.normal(size=(200, 50))
    assert (
        hubness(ranks_of(np.vstack([around, np.zeros((1, 50))])))
        > hubness(ranks_of(RNG.normal(size=(201, 2)))) + 1
    )


def test_too_few_items_are_refused():
    with pytest.raises(ValueError, match="at least 5"):
        num_neighbours(4)


def test_cosine_with_nothing_is_0():
    assert cosines(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0, 0], [0, pytest.approx(1)]]


@pytest.fixture
def planted():
    """100 words of ten themes; NPMI .5 within a theme, -.5 across; codes of a word: theme, next, random."""
    themes = np.arange(100) % 10
    npmi = np.where(themes[:, None] == themes, 0.5, -0.5)
    codes = np.stack([themes, 10 + (themes + 1) % 10, 20 + RNG.integers(0, 10, 100)], axis=1)
    counts = RNG.permutation(np.repeat(np.arange(10), 10))
    return npmi, codes, code_sets.exchanges(counts, 200, np.random.default_rng(0)), counts


def test_shared_codes_of_a_theme_are_far_from_exchanged_ones(planted):
    npmi, codes, exchanged, _ = planted
    found = code_sets.exchange_test(code_sets.sharing_pairs(codes[:, :1], 10), npmi, exchanged)
    assert found.value == 0.5
    assert found.null == pytest.approx(-0.41, abs=0.05)
    assert found.z > 10
    random = code_sets.exchange_test(code_sets.sharing_pairs(codes[:, 2:] - 20, 10), npmi, exchanged)
    assert abs(random.z) < 4
    assert random.gain == pytest.approx(random.value - random.null)


def test_pairs_weigh_by_how_many_codes_they_share():
    codes = np.array([[0, 1], [1, 0], [1, 2], [3, 4]])
    pairs = code_sets.sharing_pairs(codes, 5)
    weights = {(int(a), int(b)): w for a, b, w in zip(pairs.first, pairs.second, pairs.weights, strict=True)}
    assert weights == {(0, 1): 0.5, (0, 2): 0.25, (1, 2): 0.25}


def test_a_rank_is_that_of_the_farther_word():
    codes = np.array([[0, 1, 2], [0, 3, 4], [5, 2, 6], [7, 3, 0]])
    by_rank = code_sets.pairs_by_rank(codes, 8)
    found = [sorted(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) for pairs in by_rank]
    assert found == [[(0, 1)], [], [(0, 2), (0, 3)]]  # words 1 and 3 share two codes


def test_a_rank_that_carries_nothing_is_at_the_level_of_exchange(planted):
    npmi, codes, exchanged, _ = planted
    by_rank = code_sets.pairs_by_rank(codes[:, [0, 2]], 30)
    first, second = (code_sets.exchange_test(pairs, npmi, exchanged) for pairs in by_rank)
    assert first.value == pytest.approx(0.5)
    assert second.value == pytest.approx(-0.5)  # pairs with only the random code in common differ in theme
    assert second.gain == pytest.approx(-0.09, abs=0.04)


def test_code_pairs_are_of_the_words_nearest_first():
    codes = np.array([[1, 0], [0, 1], [0, 2], [2, 0]])
    pairs = code_sets.code_pairs(codes, 4)
    assert pairs.weights.sum() == pytest.approx(1)
    of_first = list(zip(pairs.first[:6].tolist(), pairs.second[:6].tolist(), strict=True))
    assert of_first[0] == (1, 2)  # words with code 0 as nearest
    assert pairs.weights[0] == pytest.approx(1 / 6 / 3)


def test_exchanges_keep_the_frequency_band(planted):
    _, _, exchanged, counts = planted
    assert (np.sort(exchanged, axis=1) == np.arange(100)).all()
    assert np.abs(counts[exchanged] - counts).max() <= 1
    assert (exchanged != np.arange(100)).any()


def test_usage_and_distinct_sets():
    codes = np.array([[0, 1], [1, 0], [0, 2]])
    assert code_sets.usage(codes, 6) == 0.5
    assert code_sets.distinct_sets(codes) == pytest.approx(2 / 3)
    assert code_sets.code_skewness(codes, 3) == pytest.approx(0, abs=1e-9)


def test_codes_without_company_have_no_number():
    alone = np.arange(6)[:, None]
    empty = code_sets.exchange_test(code_sets.sharing_pairs(alone, 6), np.zeros((6, 6)), np.arange(6)[None])
    assert np.isnan(empty.value)
    assert len(code_sets.code_pairs(alone, 6).first) == 0
