"""Declarations of models: true to the code, refused beyond it, and left out of a cell's identity."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from every_model import MODELS, quick_settings
from small_cells import configuration

import topiclab
from topiclab.config.checks import validate
from topiclab.config.compose import ConfigError, compose, conf_dir
from topiclab.config.declared import DECLARATIONS, unread, uses
from topiclab.config.identity import changed_keys
from topiclab.config.instantiate import target_of
from topiclab.models.base.topic_model import TopicModel
from topiclab.pipeline import fit_texts
from topiclab.runs.run import finished_result, run_cell

ENCODER = ["embedder=minilm"]
COUNTS_ALONE = [name for name in MODELS if "vectors" not in uses(configuration(model=name)["model"])]


@pytest.mark.parametrize("model", MODELS)
def test_models_with_a_gradient_have_labels_objective_and_epochs(model: str) -> None:
    group = configuration(model=model)["model"]
    declared = {"labels", "objective", "epochs"} & set(group["uses"])
    is_trained = issubclass(target_of(group), TopicModel)  # type: ignore[arg-type]
    assert declared == ({"labels", "objective", "epochs"} if is_trained else set())


@pytest.mark.parametrize("model", COUNTS_ALONE)
def test_model_of_counts_alone_pays_for_no_embedding(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_texts, "document_vectors", None)
    quick = ["model.num_sweeps=20"] if "num_sweeps" in configuration(model=model)["model"] else []
    quick += ["model.num_samples=1"] if model == "lda_gibbs" else []
    cfg = configuration(*quick, f"paths.cache={tmp_path}/cache", model=model)
    result = run_cell(cfg, tmp_path / "run")
    assert (result["status"], result["manifest"]["embedding"]) == ("done", None)
    fitted = topiclab.load(tmp_path / "run")
    assert isinstance(fitted, topiclab.api.topics.FittedTopics)
    assert fitted.transform(["t0w1 t0w2"]).shape == (1, fitted.result.num_topics)
    with pytest.raises(ValueError, match=f"model={model} reads no vectors"):
        fitted.embed(["t0w1"])


def test_models_of_counts_alone_are_known() -> None:
    assert {"lda", "nmf", "hdp", "lda_gibbs"} <= set(COUNTS_ALONE)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "model=lda mode=supervised",
            "mode=supervised: model=lda does not learn from labels; use mode=zero_shot",
        ),
        ("model=kmeans mode=supervised", "mode=supervised: model=kmeans"),
        (
            "model=nmf objective=dsl teacher=neighbours",
            "objective=dsl: model=nmf ignores the objective; use objective=bow",
        ),
        ("model=agglomerative teacher=neighbours", "teacher=neighbours: model=agglomerative reads no soft"),
        ("model=lda teacher=llama1b input=teacher", "input=teacher: model=lda reads no vectors"),
        (
            "model=kmeans trainer.max_epochs=3",
            "trainer.max_epochs=3: model=kmeans has no epochs; leave it out",
        ),
        ("model=lda trainer.batch_size=3 trainer.patience=2", "trainer.patience=2: model=lda has no epochs"),
        ("model=lda mode=unsupervised mode.adapt=simcse", "mode.adapt=simcse: model=lda reads no vectors"),
        ("task=embed logger=wandb", "logger=wandb: task=embed logs nothing there; use logger=csv"),
        ("model=lda model.uses=[vectors]", "model.uses describes model= and is not an option"),
    ],
)
def test_what_a_cell_would_not_read_is_refused(line: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["data=stackoverflow", *ENCODER, *line.split()])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "model=prodlda objective=bow teacher=neighbours",  # a grid of objectives
        "model=agglomerative input=teacher teacher=llama1b",
        "model=kmeans mode=supervised mode.adapt=supcon",  # which the labels tune the embedder of
        "model=kmeans trainer.batch_size=1024",
        "model=lda num_topics=auto mode=unsupervised mode.adapt=simcse",
        "task=teach model=lda teacher=neighbours mode=supervised",
        "logger=wandb",
    ],
)
def test_what_something_reads_is_not_refused(line: str) -> None:
    assert compose(["data=stackoverflow", *ENCODER, *line.split()])


def without_declarations(node: Any) -> Any:
    """A configuration as a version stored it that had none."""
    if not isinstance(node, dict):
        return node
    return {key: without_declarations(value) for key, value in node.items() if key not in DECLARATIONS}


@pytest.mark.parametrize("model", MODELS)
def test_run_of_a_version_without_declarations_is_reused(model: str, tmp_path: Path) -> None:
    cfg = configuration(*(["teacher=neighbours"] if model == "prodlda" else []), model=model)
    stored = without_declarations(copy.deepcopy(cfg))
    assert "uses" not in stored["model"]
    result = {"status": "done", "config": stored, "config_hash": "of that version"}
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert finished_result(cfg, tmp_path) == result
    other = configuration("num_topics=7", model=model)
    with pytest.raises(ConfigError, match="num_topics"):
        finished_result(other, tmp_path)


def test_keys_that_are_not_read_tell_no_cells_apart() -> None:
    old = compose(["model=lda", "objective.weight=3", "embedder=random"])
    assert changed_keys(without_declarations(old), compose(["model=lda"])) == []
    assert changed_keys(old, compose(["model=lda", "num_topics=auto"]))  # which are clustered
    theta = compose(["teacher=neighbours"])
    assert changed_keys(theta, compose(["teacher=corpus"])) == []
    read = "objective=dsl"
    assert changed_keys(compose(["teacher=neighbours", read]), compose(["teacher=corpus", read]))
    assert set(unread(compose())) == {"select_k", "teacher"}
    assert unread(compose(["task=embed", "model=lda"])) == {}


def test_every_model_and_objective_declares() -> None:
    assert validate(compose()) == []
    for group in ("model", "objective"):
        for path in (conf_dir() / group).glob("[!_]*.yaml"):
            line = [f"{group}={path.stem}", *(["teacher=neighbours"] if group == "objective" else [])]
            line += ["data=digits"] if path.stem == "tvqvae_image" else []
            own = quick_settings(path.stem, "few") if group == "model" else []
            assert "uses" in compose([*line, *own])[group]
