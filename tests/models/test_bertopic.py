"""BERTopic: merged clusters, class-based TF-IDF of our counts, and the treatment of outliers."""

import numpy as np
import planted
import pytest
from scipy import sparse

from topiclab.models.bertopic import BERTopic, merge_clusters

RNG = np.random.default_rng(0)
CENTRES = np.eye(4, 6, dtype=np.float32)
LABELS = np.repeat([0, 1, 2, 3], 12)
VECTORS = (CENTRES[LABELS] + 0.05 * RNG.standard_normal((48, 6))).astype(np.float32)
BOW = sparse.csr_matrix(np.eye(4, 7, dtype=np.int32)[LABELS] + 1 * (np.arange(7) == 5))


@pytest.fixture
def fitted(monkeypatch):
    """Return a function that fits three topics with LABELS as clusters, the first six documents outliers."""

    def fit(outliers, num_topics=3):
        clusters = np.where(np.arange(48) < 6, -1, LABELS)
        soft = np.full((48, 4), 0.1) + 0.6 * np.eye(4)[LABELS]
        monkeypatch.setattr(BERTopic, "_cluster", lambda self, vectors: (clusters, soft))
        options = {"outliers": outliers, "num_neighbours": 5, "num_components": 2, "min_cluster_size": 3}
        model = BERTopic(num_topics=num_topics, seed=0, **options)
        rows = type("Rows", (), {"train_embeddings": VECTORS, "train_bow": BOW})
        model._fit(rows)
        return model

    return fit


def test_class_tfidf_is_of_our_counts_and_unseen_words_score_nothing():
    topics, scores = merge_clusters(LABELS, VECTORS, BOW, 4)
    counts = np.stack([BOW[topics == topic].sum(0).A1 for topic in range(4)])
    frequency = counts.sum(0)
    expected = counts / counts.sum(1, keepdims=True) * np.log1p(int(counts.sum(1).mean()) / frequency.clip(1))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert (scores[:, [4, 6]] == 0).all()


def test_the_nearest_clusters_are_merged_until_num_topics_are_left():
    close = VECTORS.copy()
    close[LABELS == 3] = close[LABELS == 0]
    topics, scores = merge_clusters(LABELS, close, BOW, 3)
    assert len(scores) == 3
    assert set(topics[(LABELS == 0) | (LABELS == 3)]) == {0}  # the largest comes first
    assert merge_clusters(LABELS, VECTORS, BOW, 9)[0].max() == 3


@pytest.mark.parametrize(("outliers", "num_topics"), [("soft", 3), ("reassign", 3), ("own_topic", 3)])
def test_every_document_has_topics_and_k_is_kept(outliers, num_topics, fitted):
    model = fitted(outliers)
    theta = model.transform(BOW, VECTORS)
    assert theta.shape == (48, num_topics)
    assert model._beta().shape == (num_topics, 7)
    np.testing.assert_allclose(theta.sum(1), 1, atol=1e-5)
    assert model.info == {
        "topics_found": 2 if outliers == "own_topic" else 3,
        "clusters_found": 4,
        "outlier_share": 0.125,
    }
    main = theta.argmax(1)
    if outliers == "own_topic":
        assert (main[:6] == 2).all()
        assert (main[6:] < 2).all()
        assert model._beta()[2].argmax() == 0  # the word of the outliers' own class
    else:
        assert (main[:6] == main[6]).all()


def test_theta_is_the_memberships_of_the_training_documents(fitted):
    model = fitted("reassign")
    np.testing.assert_allclose(model.transform(BOW, VECTORS), model.memberships, atol=1e-3)


def test_documents_without_vectors_are_refused(fitted):
    with pytest.raises(ValueError, match="choose an embedder"):
        fitted("soft").transform(BOW, None)


def test_fewer_clusters_than_topics_are_fewer_topics(tmp_path):
    from topiclab.pipeline.build import make_model

    cfg = planted.configuration("model=bertopic", "num_topics=40")
    result = make_model(cfg, planted.datamodule()).fit(planted.datamodule(), tmp_path, cfg.trainer)
    assert result.num_topics == result.info["topics_found"] == result.info["clusters_found"] < 40
