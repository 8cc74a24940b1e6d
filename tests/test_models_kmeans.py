"""k-means on vectors averaged with their neighbours: one rule for training and unseen documents."""

from functools import partial

import numpy as np
import planted
import pytest
from sklearn.metrics import normalized_mutual_info_score

from topiclab.config import ConfigError, compose
from topiclab.data.neighbours import cosines
from topiclab.models.warmstart import smooth
from topiclab.tasks.fit import make_model
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
    result = model.fit(datamodule, tmp_path, cfg["trainer"])
    smoothed = smooth(datamodule.train_embeddings, datamodule.train_neighbours(15))
    np.testing.assert_allclose(model._smooth(datamodule.train_embeddings), smoothed, atol=1e-5)
    assert planted.recovery(result) >= 0.7
    twin = make_model(cfg, datamodule)
    twin.load_state(model.state())
    np.testing.assert_array_equal(twin.transform(planted.corpus().bow, planted.vectors()), result.theta)


def test_without_neighbours_no_vectors_are_kept(tmp_path):
    cfg = planted.configuration("model=kmeans")
    model = make_model(cfg, planted.datamodule())
    model.fit(planted.datamodule(), tmp_path, cfg["trainer"])
    assert model.state().keys() == {"centroids", "word_scores"}


def test_clusters_of_soft_labels_are_kept_by_training_documents_and_joined_by_vote(tmp_path):
    cfg = planted.configuration("model=kmeans", "model.reads=soft_labels", "teacher=neighbours")
    teach = partial(soft_labels, cfg["teacher"], trainer=cfg["trainer"])
    datamodule = planted.datamodule(teach=teach)
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg["trainer"])
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
