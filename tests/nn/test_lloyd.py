"""Lloyd's k-means: one step by hand, falling inertia, restarts, seeds, scale, mini-batches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples, silhouette_score

from topiclab.nn.kmeans import recentre
from topiclab.nn.lloyd import assign, lloyd
from topiclab.nn.silhouette import silhouette


def mixture(num_rows: int = 3000, num_groups: int = 12, dim: int = 16, spread: float = 0.6) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((num_groups, dim))
    noise = spread * rng.standard_normal((num_rows, dim))
    return (centres[rng.integers(num_groups, size=num_rows)] + noise).astype(np.float32)


def test_assign_is_the_nearest_centroid() -> None:
    vectors, centroids = mixture(2500), mixture(7)
    expected = ((vectors[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    labels, distances = assign(vectors, centroids)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, expected.argmin(axis=1))
    np.testing.assert_allclose(distances, expected.min(axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spherical", [False, True])
def test_a_pass_is_that_of_numpy(spherical: bool) -> None:
    vectors = mixture()
    first, second = (lloyd(vectors, 9, seed=1, spherical=spherical, max_iter=most) for most in (1, 2))
    assert (first.iterations, second.iterations) == (1, 2)
    rows = vectors.astype(np.float64)
    if spherical:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    means = np.stack([rows[first.labels == label].mean(axis=0) for label in range(9)])
    if spherical:
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    distances = ((rows[:, None] - means) ** 2).sum(axis=2)
    np.testing.assert_allclose(second.centroids, means, atol=1e-5)
    np.testing.assert_array_equal(second.labels, distances.argmin(axis=1))
    assert second.inertia == pytest.approx(distances.min(axis=1).sum(), rel=1e-5)
    np.testing.assert_array_equal(second.sizes, np.bincount(second.labels, minlength=9))


@pytest.mark.parametrize("spherical", [False, True])
def test_inertia_falls_with_each_pass(spherical: bool) -> None:
    vectors = mixture(spread=2.0)
    inertia = [lloyd(vectors, 7, seed=0, spherical=spherical, max_iter=most).inertia for most in range(1, 15)]
    assert inertia[0] > 1.002 * inertia[-1]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(inertia))


@pytest.mark.parametrize("options", [{}, {"spherical": True}, {"batch_size": 256}, {"n_init": 3}])
def test_a_seed_is_a_result(options: dict) -> None:
    vectors = mixture(spread=2.0)
    one, twin, other = (lloyd(vectors, 8, seed=seed, **options) for seed in (3, 3, 4))
    assert one.centroids.tobytes() == twin.centroids.tobytes()
    assert one.labels.tobytes() == twin.labels.tobytes()
    assert one.inertia == twin.inertia != other.inertia


def test_more_starts_are_no_worse() -> None:
    vectors = mixture(spread=2.0)
    inertia = [lloyd(vectors, 20, seed=0, n_init=starts).inertia for starts in (1, 2, 6)]
    assert inertia == sorted(inertia, reverse=True)
    assert inertia[0] > inertia[-1]


def test_inertia_is_that_of_scikit_learn() -> None:
    vectors = mixture(6000, spread=1.0)
    for num_clusters in (5, 40):
        ours = np.median([lloyd(vectors, num_clusters, seed=seed).inertia for seed in range(8)])
        theirs = [
            KMeans(num_clusters, n_init=1, random_state=seed).fit(vectors).inertia_ for seed in range(5)
        ]
        assert ours == pytest.approx(np.median(theirs), rel=0.01)


@pytest.mark.parametrize("spherical", [False, True])
def test_mini_batches_come_near_full_passes(spherical: bool) -> None:
    vectors = mixture(6000, spread=1.0)
    for num_clusters in (5, 40):
        ratios = [
            lloyd(vectors, num_clusters, seed=seed, spherical=spherical, batch_size=256).inertia
            / lloyd(vectors, num_clusters, seed=seed, spherical=spherical).inertia
            for seed in range(5)
        ]
        assert 0.99 < np.median(ratios) < 1.025


def test_spherical_does_not_see_the_length_of_a_row() -> None:
    vectors = mixture()
    powers = 2.0 ** np.random.default_rng(0).integers(-3, 4, (len(vectors), 1))  # exact in binary
    plain, scaled = (lloyd(rows, 12, seed=0, spherical=True) for rows in (vectors, vectors * powers))
    np.testing.assert_array_equal(plain.labels, scaled.labels)
    np.testing.assert_allclose(plain.inertia, scaled.inertia, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(plain.centroids, axis=1), 1, atol=1e-6)
    euclidean = lloyd(vectors * powers, 12, seed=0)
    assert (euclidean.labels != plain.labels).any()


def test_an_empty_cluster_starts_again_at_the_farthest_row() -> None:
    far = np.array([[9, 0], [9, 0.1], [0, 50]], np.float32)
    rows = np.concatenate([np.zeros((40_000, 2), np.float32), far])  # the start is drawn among copies of 0
    for options in ({}, {"batch_size": 1000}):
        found = lloyd(rows, 3, seed=0, **options)
        assert sorted(found.sizes) == [1, 2, 40_000]
        assert found.inertia == pytest.approx(0.005, rel=0.01)


def test_empty_clusters_take_the_farthest_rows_in_turn() -> None:
    rows = torch.tensor([[0.0], [2.0], [10.0], [30.0]])
    clusters, distances = torch.tensor([1, 1, 1, 1]), torch.tensor([0.0, 4.0, 100.0, 900.0])
    np.testing.assert_allclose(recentre(rows, clusters, distances, 3), [[30.0], [10.5], [10.0]])


def test_as_many_clusters_as_rows_and_more() -> None:
    vectors = mixture(20)
    found = lloyd(vectors, 20, seed=0)
    assert sorted(found.labels) == list(range(20))
    assert found.inertia == pytest.approx(0, abs=1e-3)
    assert len(lloyd(np.zeros((6, 3)), 4, seed=0).sizes) == 4  # rows that are all equal
    with pytest.raises(ValueError, match="num_clusters=21, but there are 20 vectors; use fewer"):
        lloyd(vectors, 21, seed=0)


def test_values_that_are_not_finite_are_refused() -> None:
    vectors = mixture(20)
    vectors[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        lloyd(vectors, 2, seed=0)


@pytest.mark.parametrize(("is_cosine", "metric"), [(False, "euclidean"), (True, "cosine")])
def test_silhouette_is_that_of_scikit_learn(is_cosine: bool, metric: str) -> None:
    vectors = mixture(1500, spread=1.0)
    labels = lloyd(vectors, 7, seed=0).labels.copy()
    labels[5] = 9  # alone in its label; 7 and 8 have no row
    vectors[:3] = 0  # like documents without a known word
    mean, each = silhouette(vectors, labels, is_cosine=is_cosine)
    assert mean == pytest.approx(silhouette_score(vectors, labels, metric=metric), abs=1e-5)
    values = silhouette_samples(vectors, labels, metric=metric)
    expected = [values[labels == label].mean() if (labels == label).any() else np.nan for label in range(10)]
    np.testing.assert_allclose(each, expected, atol=1e-5)


def test_silhouette_of_a_sample_is_that_of_its_rows() -> None:
    vectors = mixture(1500, spread=1.0)
    labels = lloyd(vectors, 7, seed=0).labels
    mean, _ = silhouette(vectors, labels, sample=400, seed=5)
    rows = np.random.default_rng(5).choice(1500, 400, replace=False)
    assert mean == pytest.approx(silhouette_score(vectors[rows], labels[rows]), abs=1e-5)
    assert silhouette(vectors, labels, sample=400, seed=6)[0] != mean
    assert silhouette(vectors, labels, sample=9000)[0] == silhouette(vectors, labels)[0]


def test_silhouette_needs_two_clusters() -> None:
    vectors = mixture(30)
    for labels in (np.zeros(30, int), np.arange(30)):
        with pytest.raises(ValueError, match="needs two clusters"):
            silhouette(vectors, labels)
