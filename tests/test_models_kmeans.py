"""k-means on vectors averaged with their neighbours: one rule for training and unseen documents."""

import numpy as np
import planted

from topiclab.data.neighbours import cosines
from topiclab.models.warmstart import smooth
from topiclab.tasks.fit import make_model

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
