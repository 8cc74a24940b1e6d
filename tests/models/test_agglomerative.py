"""Clusters merged by average linkage: topics of any size, but none too small."""

import json

import numpy as np
import planted
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import normalized_mutual_info_score

from topiclab.models.agglomerative import merged
from topiclab.models.base.neighbourhoods import smooth
from topiclab.nn.lloyd import Clusters, lloyd
from topiclab.pipeline.build import make_model


def clusters_of(centroids, labels):
    centroids = np.asarray(centroids, dtype=np.float32)
    return Clusters(centroids, np.asarray(labels, np.int32), np.zeros(len(labels), np.float32), 0.0, 1)


def circle(*degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_planted_topics_are_found_and_kept_by_training_documents(tmp_path):
    datamodule = planted.datamodule()
    cfg = planted.configuration("model=agglomerative")
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    assert planted.recovery(result) >= 0.7
    np.testing.assert_array_equal(result.theta[datamodule.train_rows], model.members)
    held_out = planted.corpus().rows("test")
    found = result.theta[held_out].argmax(axis=1)
    assert normalized_mutual_info_score(planted.corpus().labels[held_out], found) > 0.8
    assert sum(result.info["sizes"]) == len(datamodule.train_rows)
    assert json.loads(json.dumps(result.info, allow_nan=False)) == result.info
    twin = make_model(cfg, datamodule)
    twin.load_state(model.state())
    np.testing.assert_array_equal(twin.transform(None, planted.vectors()), result.theta)


def test_without_a_least_size_the_cut_is_that_of_average_linkage():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 6)).astype(np.float32)
    clusters = lloyd(rows, 60, seed=0, spherical=True)
    for num_topics in (1, 2, 7, 59, 60):
        tree = linkage(clusters.centroids, "average", metric="cosine")
        expected = fcluster(tree, num_topics, "maxclust")[clusters.labels]
        found = merged(clusters, num_topics, 1)
        assert normalized_mutual_info_score(expected, found) == pytest.approx(1)
        assert set(found) == set(range(num_topics))


def test_a_small_branch_joins_the_nearest_topic():
    clusters = clusters_of(circle(0, 10, 100, 110, 200), [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5 + [4])
    both, three = merged(clusters, 2, 4), merged(clusters, 3, 1)
    assert len(set(three)) == 3
    assert len({*both[:10]}) == len({*both[10:]}) == 1
    assert both[0] != both[10] == both[20]
    with pytest.raises(ValueError, match=r"at most 4 topics .* model.min_topic_size=4 of the 21"):
        merged(clusters, 5, 4)


def test_topics_may_be_of_very_different_sizes():
    rng = np.random.default_rng(0)
    sizes, angles = [600, 60, 60], [0, 120, 240]
    rows = np.concatenate(
        [circle(*(angle + 20 * rng.standard_normal(size))) for size, angle in zip(sizes, angles, strict=True)]
    ).astype(np.float32)
    found = merged(lloyd(rows, 40, seed=0, spherical=True), 3, 20)
    plain = lloyd(rows, 3, seed=0, spherical=True).labels
    right = np.repeat([0, 1, 2], sizes)
    assert normalized_mutual_info_score(right, found) > normalized_mutual_info_score(right, plain)


def test_smoothing_twice_is_smoothing_the_smoothed():
    datamodule = planted.datamodule()
    neighbours = datamodule.train_neighbours(3)
    once, twice = (smooth(datamodule.train_embeddings, neighbours, times) for times in (1, 2))
    again = once + once[neighbours].sum(axis=1)
    np.testing.assert_allclose(twice, again / np.linalg.norm(again, axis=1, keepdims=True), atol=1e-5)


def test_too_few_clusters_say_so(tmp_path):
    cfg = planted.configuration("model=agglomerative", "model.documents_per_cluster=300")
    with pytest.raises(ValueError, match=r"makes 1 clusters of .* too few to merge to num_topics=5; lower"):
        make_model(cfg, planted.datamodule()).fit(planted.datamodule(), tmp_path, cfg.trainer)
