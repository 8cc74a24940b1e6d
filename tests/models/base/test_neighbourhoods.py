"""Views of neighbourhoods, and fits that stay with the clusters found in them."""

import numpy as np
import planted
import pytest
from places import REPO
from scipy import sparse

from topiclab.config.compose import compose_unchecked
from topiclab.metrics.clustering import normalized_mutual_information
from topiclab.models.base.neighbourhoods import neighbourhood_graph, neighbourhood_views
from topiclab.pipeline.build import make_model


def test_a_share_of_a_neighbourhood_is_the_document_and_near_documents_count_for_more():
    rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.1, 0.9], [-1.0, 0.0]], np.float32)
    neighbours = np.array([[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]], np.int32)
    weights = neighbourhood_graph(rows, neighbours).toarray()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights.diagonal(), 0.4, rtol=1e-6)
    assert weights[0, 1] > 0.59 > 0.01 > weights[0, 2] > weights[0, 3] >= 0
    alone = neighbourhood_graph(rows, np.empty((4, 0), np.int32))
    np.testing.assert_array_equal(alone.toarray(), np.eye(4))


def test_words_of_neighbours_tell_documents_apart_that_share_no_word():
    """Two groups of documents, no two of which share a word; only their vectors say who belongs together."""
    bow = sparse.csr_matrix(np.eye(40, dtype=np.int32))
    vectors = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0) + 0.01 * np.arange(40)[:, None]
    group = np.arange(40) // 20
    neighbours = np.array(
        [[row for row in range(40) if row // 20 == doc // 20 and row != doc] for doc in range(40)]
    )
    words = neighbourhood_views(vectors, neighbours.astype(np.int32), bow)[:, :-4]
    cosines = words @ words.T
    inside = group[:, None] == group
    assert cosines[inside].min() > cosines[~inside].max()


def options_of(name):
    """Options of a model, defaults included."""
    return compose_unchecked([f"model={name}"])["model"]


WEIGHTED = [
    path.stem
    for path in sorted((REPO / "conf/model").glob("[!_]*.yaml"))
    if "init_weight" in options_of(path.stem) and path.stem != "tvqvae_image"
]


@pytest.mark.parametrize("name", WEIGHTED)
def test_init_weight_is_a_loss_of_every_model_that_takes_it(name):
    datamodule = planted.datamodule()
    model = make_model(planted.configuration(f"model={name}", "model.init_weight=10"), datamodule)
    model.initialize(datamodule)
    model.load_documents(datamodule)
    batch = next(iter(model.batches(model._train_rows, 100)))
    assert model.losses(batch)["clusters"].mean() > 0


def test_init_weight_holds_documents_in_their_clusters(tmp_path):
    datamodule = planted.datamodule()
    kept = {}
    for weight in (0.0, 10.0):
        model = make_model(
            planted.configuration("model=theta", f"model.init_weight={weight}", "model.lr=0.05"), datamodule
        )
        model.initialize(datamodule)
        clusters = model._cached_start(datamodule)["assignment"]
        theta = model.fit(datamodule, tmp_path / str(weight), planted.configuration().trainer).theta
        kept[weight] = normalized_mutual_information(clusters, theta[datamodule.train_rows].argmax(axis=1))
        assert ("train/clusters" in model.history[-1]) == (weight > 0)
    assert kept[10.0] > 0.9
    assert kept[10.0] >= kept[0.0]
