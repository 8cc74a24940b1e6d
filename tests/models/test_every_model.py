"""Contract of every model, found by globbing conf/model, so that a new one is tested automatically."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import planted
import pytest
import torch
from every_model import MODELS, TRAINED
from scipy import sparse
from sklearn.metrics import normalized_mutual_info_score

from topiclab.data.batch import tensors_of
from topiclab.models.base.topic_model import TopicModel
from topiclab.models.base.training import train
from topiclab.pipeline.build import make_model
from topiclab.teach.soft_labels import soft_labels

TAUGHT = [
    ["model=theta", "objective=dsl", "teacher=neighbours"],
    ["model=prodlda", "model.init=soft_labels", "teacher=neighbours"],
]
VARIANTS = [
    ["model=prodlda", "model.encoder.reads=bow"],
    ["model=theta", "model.word_init=embedder", "model.is_word_frozen=true"],
    ["model=theta", "objective.length_power=1", "objective.weight=1"],
    ["model=theta", "model.readout=beta"],
    ["model=tvqvae", "model.encoder.reads=both", "model.code_weight=1"],
    ["model=theta", "objective=mix", "teacher=neighbours", "model.init=soft_labels"],
]
VARIANTS += [[f"model={name}", "objective=dsl", "teacher=neighbours"] for name in TRAINED]


def fitted(folder, *overrides, **options):
    cfg = planted.configuration(*overrides)
    if cfg.teacher["name"] != "none":
        options["teach"] = partial(soft_labels, cfg.teacher, trainer=cfg.trainer)
    datamodule = planted.datamodule(**options)
    model = make_model(cfg, datamodule)
    return model, model.fit(datamodule, folder, cfg.trainer)


@pytest.mark.parametrize("overrides", [[f"model={name}"] for name in MODELS] + VARIANTS, ids=" ".join)
def test_planted_topics_are_recovered(overrides, tmp_path):
    dim = planted.vectors().shape[1]
    words = np.random.default_rng(0).normal(size=(planted.corpus().num_words, dim)).astype(np.float32)
    _, result = fitted(tmp_path, *overrides, word_vectors=lambda: words)
    labels = planted.corpus().labels
    assert planted.recovery(result) >= 0.7
    assert normalized_mutual_info_score(labels, result.theta.argmax(1)) >= 0.8


def test_an_untrained_model_recovers_nothing():
    cfg = planted.configuration()
    model = make_model(cfg, planted.datamodule())
    theta = model.transform(planted.corpus().bow, planted.vectors())
    assert normalized_mutual_info_score(planted.corpus().labels, theta.argmax(1)) < 0.5


@pytest.mark.parametrize("name", MODELS)
def test_transform_and_state(name, tmp_path):
    """transform gives the result's theta, so does a rebuilt model, and permuting documents permutes it."""
    model, result = fitted(tmp_path, f"model={name}")
    bow, vectors = planted.corpus().bow, planted.vectors()
    np.testing.assert_allclose(model.transform(bow, vectors), result.theta, atol=1e-5)
    twin = make_model(planted.configuration(f"model={name}"), planted.datamodule())
    twin.load_state({key: np.array(value) for key, value in model.state().items()})
    order = np.random.default_rng(0).permutation(len(vectors))
    np.testing.assert_allclose(twin.transform(bow[order], vectors[order]), result.theta[order], atol=2e-3)


@pytest.mark.parametrize("name", MODELS)
def test_a_document_without_words_has_proportions(name, tmp_path):
    model, _ = fitted(tmp_path, f"model={name}")
    theta = model.transform(
        sparse.csr_matrix((2, planted.corpus().num_words), dtype=np.int32), planted.vectors()[:2]
    )
    np.testing.assert_allclose(theta.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_repeats_bit_for_bit_and_another_does_not(name, tmp_path):
    results = [
        fitted(tmp_path / str(run), f"model={name}", f"seed={seed}")[1] for run, seed in enumerate((3, 3, 4))
    ]
    assert np.array_equal(results[0].theta, results[1].theta)
    assert np.array_equal(results[0].beta, results[1].beta)
    if name not in ("nmf", "stm"):  # their starts, SVD and anchor words, have no seed
        assert not np.array_equal(results[0].theta, results[2].theta)


@pytest.mark.parametrize("settings", [[f"model={name}"] for name in TRAINED] + TAUGHT, ids=" ".join)
def test_a_killed_fit_resumes_to_the_same_weights(settings, tmp_path, monkeypatch):
    short = ("trainer.max_epochs=12", "model.min_steps=1", "trainer.checkpoint_seconds=0")
    overrides = (*settings, *short)
    whole, _ = fitted(tmp_path / "whole", *overrides)
    seen, dies_in = [], 7
    step = TopicModel.training_step

    def watched(self, *args):
        seen.append(self.current_epoch)
        if self.current_epoch == dies_in:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(TopicModel, "training_step", watched)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fitted(tmp_path / "killed", *overrides)
    dies_in = None
    resumed, _ = fitted(tmp_path / "killed", *overrides)
    assert seen == [*range(8), *range(7, 12)]
    for key, value in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[key], value, err_msg=key)
    histories = [
        json.loads((tmp_path / run / "training_history.json").read_text()) for run in ("whole", "killed")
    ]
    assert histories[0] == histories[1]
    assert [epoch["epoch"] for epoch in histories[0]] == list(range(12))


def test_checkpoints_of_other_soft_labels_are_dropped(tmp_path, caplog):
    short = ("model=theta", "objective=dsl", "trainer.max_epochs=2", "model.min_steps=1")
    fitted(tmp_path, *short, "teacher=neighbours")
    fitted(tmp_path, *short, "teacher=neighbours", "teacher.num_neighbours=5")
    assert "starting over" in caplog.text
    assert "soft labels" in caplog.text


def test_starts_from_soft_labels_know_their_temperature():
    keys = []
    for temperature in (1, 3):
        teacher = ["teacher=neighbours", f"teacher.temperature={temperature}"]
        cfg = planted.configuration("model=theta", "model.init=soft_labels", *teacher)
        teach = partial(soft_labels, cfg.teacher, trainer=cfg.trainer)
        datamodule = planted.datamodule(teach=teach)
        model = make_model(cfg, datamodule)
        keys.append(model._start_key(datamodule))
        assert model._start_key(datamodule) == keys[-1]  # also once the labels are read
    assert keys[0] != keys[1]


def test_the_loss_falls_and_the_kl_weight_rises(tmp_path):
    fitted(tmp_path, "model=theta", "model.init=random", "model.max_epochs=20", "model.min_steps=1")
    history = json.loads((tmp_path / "training_history.json").read_text())
    assert history[-1]["train/recon"] < 0.95 * history[0]["train/recon"]
    weights = [epoch["kl_weight"] for epoch in history]
    assert weights[0] == pytest.approx(0.1)
    assert weights[9:] == [1.0] * 11


def test_early_stopping_waits_for_the_warmup_and_the_best_epoch_is_kept(tmp_path):
    overrides = [
        "model.init=random",
        "model.lr=0.05",
        "model.max_epochs=60",
        "model.min_steps=1",
        "trainer.patience=2",
    ]
    model, result = fitted(tmp_path, "model=theta", *overrides)
    history = json.loads((tmp_path / "training_history.json").read_text())
    assert 30 <= len(history) < 60
    assert result.info["epochs"] == len(history)
    losses = [epoch["val/loss"] for epoch in history[29:]]
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == 29 + int(np.argmin(losses))
    torch.testing.assert_close(best["state_dict"]["rho"], model.rho.detach())


def test_labels_reach_a_model_only_when_shown():
    hidden, shown = planted.datamodule(), planted.datamodule(shows_labels=True)
    assert hidden.documents.labels is None
    assert hidden.num_classes == 0
    labels = shown.documents.labels.numpy()
    test_rows = planted.corpus().rows("test")
    assert (labels[test_rows] == -1).all()
    assert (np.delete(labels, test_rows) >= 0).all()


def test_supervised_head_predicts_held_out_labels(tmp_path):
    overrides = ["model=theta", "mode=supervised", "mode.class_weight=100"]
    model, _ = fitted(tmp_path, *overrides, shows_labels=True)
    rows = planted.corpus().rows("test")
    classes = model.predict_classes(planted.corpus().bow[rows], planted.vectors()[rows])
    assert (classes.argmax(1) == planted.corpus().labels[rows]).mean() > 0.8


def test_a_loss_that_is_not_finite_stops_the_fit(tmp_path):
    cfg = planted.configuration(
        "model=theta", "model.init=random", "model.lr=1e30", "model.gradient_clip=null"
    )
    datamodule = planted.datamodule()
    with pytest.raises((FloatingPointError, ValueError), match=r"lower model\.lr|not finite"):
        make_model(cfg, datamodule).fit(datamodule, tmp_path, cfg.trainer)


def test_resume_reads_checkpoints_without_pickle(tmp_path):
    fitted(tmp_path, "model=theta", "model.min_steps=1", "trainer.max_epochs=2")
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert [epoch["epoch"] for epoch in checkpoint["history"]] == [0, 1]


def test_bow_input_layer_equals_a_dense_layer():
    from topiclab.models.base.encoder import BowLinear

    layer = BowLinear(planted.corpus().num_words, 8)
    batch = next(tensors_of(planted.corpus().bow, None).batches(torch.arange(20), 1))
    dense = torch.from_numpy(planted.corpus().bow[:20].toarray()).float()
    torch.testing.assert_close(layer(batch.bow), dense @ layer.weight + layer.bias, rtol=1e-4, atol=1e-4)


def test_devices_beyond_one_are_refused(tmp_path):
    cfg = planted.configuration()
    datamodule = planted.datamodule()
    with pytest.raises(ValueError, match=r"grid\.jobs"):
        train(make_model(cfg, datamodule), datamodule, tmp_path, replace(cfg.trainer, devices=2))
