"""hLDA and PT: posteriors of a document's leaf by hand, the tree that is written, and pseudo documents."""

import numpy as np
import planted
import pytest
from scipy import sparse

from topiclab.models.sampling.components import component_posteriors
from topiclab.pipeline.build import make_model


def fitted(folder, *overrides):
    cfg = planted.configuration(*overrides)
    model = make_model(cfg, planted.datamodule())
    return model, model.fit(planted.datamodule(), folder, cfg.trainer)


def test_posteriors_of_components_are_bayes_rule():
    words, weights = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), np.array([1.0, 3.0])
    bow = sparse.csr_matrix(np.array([[2, 1, 0], [0, 0, 0]], dtype=np.int32))
    (found,) = component_posteriors(bow, words, weights)
    joint = weights * words[:, 0] ** 2 * words[:, 1]
    np.testing.assert_allclose(found, [joint / joint.sum(), [0.25, 0.75]])


@pytest.mark.parametrize("num_topics", [2, 9])
def test_hlda_keeps_the_largest_leaves_and_writes_its_tree(num_topics, tmp_path):
    model, result = fitted(tmp_path, "model=hlda", "model.depth=3", f"num_topics={num_topics}")
    found, kept = result.info["leaves_found"], result.num_topics
    assert kept == min(found, num_topics)
    assert (result.info["documents_kept"] == 1) == (found <= num_topics)
    assert (np.diff(model.leaf_documents) <= 0).all()
    model.explain(planted.datamodule(), tmp_path)
    lines = (tmp_path / "hierarchy.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == result.info["nodes_found"]
    levels = [(len(line) - len(line.lstrip())) // 2 for line in lines]
    assert levels[0] == 0
    assert levels.count(2) == found
    assert max(np.diff(levels)) == 1  # a child stands right below its parent
    for topic, words in enumerate(result.topic_words(10)):
        (line,) = (line for line in lines if line.lstrip().startswith(f"topic {topic},"))
        assert line.endswith(": " + " ".join(words))
    documents = [int(line.split(" documents")[0].split()[-1]) for line in lines]
    assert sum(documents[row] for row, level in enumerate(levels) if level == 2) == documents[0]


def test_pt_gathers_texts_in_pseudo_documents(tmp_path):
    model, result = fitted(tmp_path, "model=pt")
    assert 5 <= result.info["pseudo_documents"] < 200
    bow = planted.datamodule().train_bow
    assert model.topic_counts.sum() == pytest.approx(bow.sum() + 0.1 * model.topic_counts.size, rel=1e-5)
    assert not np.allclose(model.alpha, 0.1)  # it is learned
