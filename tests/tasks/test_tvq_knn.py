"""task=tvq_knn: planted neighbourhoods are kept by learned codes and lost by shuffled ones."""

from dataclasses import replace

import numpy as np
import pytest
from made_settings import configured

from topiclab.data.sources.corpora import load_corpus
from topiclab.pipeline.build import make_model
from topiclab.pipeline.inputs import document_vectors, make_datamodule
from topiclab.tasks.tvq_knn import control_codes, learned_codes, tvq_knn

SMALL = [
    "data=synthetic",
    "embedder=lsa",
    "embedder.dim=16",
    "num_topics=5",
    "trainer.device=cpu",
    "model=tvqvae",
    "model.num_codes=10",
    "model.expansion=2",
    "model.codebook.code_dim=8",
    "model.codebook.hidden_dims=[32]",
    "model.codebook.max_epochs=60",
    "model.codebook.batch_size=20",
]


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    return configured("task=tvq_knn", *SMALL, f"paths.cache={tmp_path_factory.mktemp('cache')}")


@pytest.fixture(scope="module")
def outcome(cfg, tmp_path_factory):
    return tvq_knn(cfg, tmp_path_factory.mktemp("run"))


def test_planted_neighbourhoods_are_kept_by_learned_codes_alone(outcome):
    metrics = outcome.metrics
    chance = 10 / 99
    assert metrics["codes/overlap"] > 3 * chance
    assert metrics["shuffled/overlap"] == pytest.approx(chance, abs=0.05)
    assert metrics["codes/trust"] > 0.65 > 0.6 > metrics["shuffled/trust"]
    assert metrics["codes/npmi_z"] > 10
    assert abs(metrics["shuffled/npmi_z"]) < 4
    assert metrics["codes/npmi_gain"] > metrics["random/npmi_gain"]


def test_every_space_has_its_measures_and_what_is_absent_a_reason(outcome):
    metrics = outcome.metrics
    for source in ("codes", "kmeans", "random", "shuffled"):
        assert {
            f"{source}/{name}" for name in ("overlap", "npmi_gain", "decay1", "decay2", "skew")
        } <= metrics.keys()
        assert f"{source}/decay3" not in metrics
    assert outcome.reasons.keys() == {name for name, value in metrics.items() if not np.isfinite(value)}


def test_codes_are_those_of_the_fit_and_come_from_its_cache(cfg, outcome):
    vectors, learned = learned_codes(cfg)
    assert learned.codebook.is_cached
    assert learned.codebook.key == outcome.manifest["codebook"]["key"]
    controls = control_codes(vectors, learned, seed=0)
    assert {codes.shape for codes in controls.values()} == {learned.codes.shape}
    assert (np.sort(controls["shuffled"], axis=0) == np.sort(learned.codes, axis=0)).all()
    assert (controls["shuffled"] != learned.codes).any()


def test_exchanged_codes_are_not_started_from_learned_ones(cfg, outcome):
    tables = []
    for assignment in ("nearest", "random", "nearest"):
        codebook = {**cfg.model["codebook"], "assignment": assignment}
        chosen = replace(cfg, model={**cfg.model, "codebook": codebook})
        corpus = load_corpus(chosen.data)
        datamodule = make_datamodule(chosen, corpus, document_vectors(chosen, corpus))
        model = make_model(chosen, datamodule)
        model.initialize(datamodule)
        tables.append(model.encoder.bag.codes.tolist())
    assert tables[0] == tables[2] != tables[1]
    assert sorted(tables[0]) == sorted(tables[1])


def test_a_model_without_codes_is_refused(cfg, tmp_path):
    with pytest.raises(ValueError, match="use model=tvqvae"):
        tvq_knn(replace(cfg, model=configured("model=prodlda").model), tmp_path)
