"""k-means on vectors averaged with their neighbours: one rule for training and unseen documents."""

import json
from functools import partial

import numpy as np
import planted
import pytest
from made_settings import trainer
from pyarrow import parquet
from sklearn.metrics import normalized_mutual_info_score

from topiclab.config.compose import ConfigError, compose
from topiclab.data.neighbours import cosines
from topiclab.models.base.neighbourhoods import smooth
from topiclab.pipeline.build import make_model
from topiclab.teach.soft_labels import soft_labels

RNG = np.random.default_rng(0)


def test_cosines_are_those_of_the_rows_named():
    queries, vectors = RNG.standard_normal((5, 8)), RNG.standard_normal((9, 8))
    rows = RNG.integers(0, 9, (5, 3)).astype(np.int32)
    unit = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in (queries, vectors)]
    expected = np.take_along_axis(unit[0] @ unit[1].T, rows, axis=1)
    np.testing.assert_allclose(cosines(queries, vectors, rows), expected, atol=1e-6)


def test_a_training_document_is_smoothed_as_in_the_fit(tmp_path):
    cfg = planted.configuration("model=kmeans", "model.neighbours=15")
    datamodule = planted.datamodule()
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    smoothed = smooth(datamodule.train_embeddings, datamodule.train_neighbours(15))
    np.testing.assert_allclose(model._smooth(datamodule.train_embeddings), smoothed, atol=1e-5)
    assert planted.recovery(result) >= 0.7
    twin = make_model(cfg, datamodule)
    twin.load_state(model.state())
    np.testing.assert_array_equal(twin.transform(planted.corpus().bow, planted.vectors()), result.theta)


def test_without_neighbours_no_vectors_are_kept(tmp_path):
    cfg = planted.configuration("model=kmeans")
    model = make_model(cfg, planted.datamodule())
    model.fit(planted.datamodule(), tmp_path, cfg.trainer)
    assert model.state().keys() == {"centroids", "fences", "word_scores"}


def test_clusters_of_soft_labels_are_kept_by_training_documents_and_joined_by_vote(tmp_path):
    cfg = planted.configuration("model=kmeans", "model.reads=soft_labels", "teacher=neighbours")
    teach = partial(soft_labels, cfg.teacher, trainer=cfg.trainer)
    datamodule = planted.datamodule(teach=teach)
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    assert planted.recovery(result) >= 0.7
    rows = datamodule.train_rows
    np.testing.assert_array_equal(result.theta[rows], model.members)
    shuffled = make_model(cfg, datamodule)
    shuffled.load_state(
        {**model.state(), "members": model.members[np.random.default_rng(0).permutation(len(rows))]}
    )
    held_out = planted.corpus().rows("test")
    labels = planted.corpus().labels[held_out]
    right, wrong = (
        normalized_mutual_info_score(labels, fitted.transform(None, planted.vectors()[held_out]).argmax(1))
        for fitted in (model, shuffled)
    )
    assert right > 0.8 > 0.5 > wrong


def test_soft_labels_need_a_teacher():
    for setting in (["model=kmeans", "model.reads=soft_labels"], ["model=theta", "model.init=soft_labels"]):
        with pytest.raises(ConfigError, match="=soft_labels needs a teacher, but teacher=none"):
            compose(setting)


@pytest.mark.parametrize("options", [[], ["model.spherical=false"], ["model.batch_size=64"]])
def test_the_topics_of_training_documents_are_their_clusters(options, tmp_path):
    datamodule = planted.datamodule()
    cfg = planted.configuration("model=kmeans", *options)
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    assert planted.recovery(result) >= 0.7
    np.testing.assert_array_equal(result.theta[datamodule.train_rows], model.members)
    info = result.info
    assert sum(info["sizes"]) == len(datamodule.train_rows)
    assert info["sizes"] == model.members.sum(axis=0).astype(int).tolist()
    assert 0.2 < info["silhouette"] < 1
    assert len(info["topic_silhouettes"]) == 5
    assert json.loads(json.dumps(info, allow_nan=False)) == info
    twin = make_model(cfg, datamodule)
    twin.load_state(model.state())
    np.testing.assert_array_equal(twin.transform(None, planted.vectors()), result.theta)


def test_spherical_topics_do_not_see_the_length_of_a_vector(tmp_path):
    datamodule = planted.datamodule()
    cfg = planted.configuration("model=kmeans")
    model = make_model(cfg, datamodule)
    theta = model.fit(datamodule, tmp_path, cfg.trainer).theta
    np.testing.assert_array_equal(model.transform(None, 8 * planted.vectors()), theta)


def test_an_outlier_is_beyond_the_fence_of_its_cluster(tmp_path):
    rng = np.random.default_rng(1)
    datamodule = planted.datamodule()
    model = make_model(planted.configuration("model=kmeans", "model.spherical=false"), datamodule)
    model.fit(datamodule, tmp_path, trainer())
    model.explain(datamodule, tmp_path)
    table = parquet.read_table(tmp_path / "distances.parquet").to_pydict()
    assert tuple(table["id"]) == planted.corpus().ids
    topics, distances = np.array(table["topic"]), np.array(table["distance"], np.float32)
    vectors = planted.vectors()
    np.testing.assert_allclose(
        distances, np.linalg.norm(vectors - model.centroids[topics], axis=1), atol=1e-3
    )
    train = datamodule.train_rows
    for topic in range(5):
        low, high = np.quantile(distances[train][topics[train] == topic], (0.25, 0.75))
        assert model.fences[topic] == pytest.approx(high + 1.5 * (high - low), rel=1e-4)
    expected = distances > model.fences[topics]
    np.testing.assert_array_equal(table["is_outlier"], expected)
    far = vectors[:3] + 100 * rng.standard_normal((3, vectors.shape[1])).astype(np.float32)
    topics, distances = model.nearest(far)
    assert (distances > model.fences[topics]).all()


def test_one_topic_has_no_silhouette(tmp_path):
    cfg = planted.configuration("model=kmeans", "num_topics=1")
    result = make_model(cfg, planted.datamodule()).fit(planted.datamodule(), tmp_path, cfg.trainer)
    assert result.info["silhouette"] is None
    assert "needs two clusters" in result.info["silhouette_reason"]
