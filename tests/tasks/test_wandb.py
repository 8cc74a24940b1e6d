"""Every task that trains or measures logs to W&B: offline runs, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_cells import configuration
from wandb_folder import artifacts_of, read_run

from topiclab.config.compose import compose, compose_cell
from topiclab.runs.run import run_cell

WANDB = ["logger=wandb", "logger.mode=offline"]
LANGUAGE = [
    "data=lee",
    "data.sample=60",
    "trainer.device=cpu",
    "trainer.precision=fp32",
    "trainer.num_threads=1",
]
NANO = [
    "task=pretrain",
    "model.shape.num_layers=1",
    "model.shape.hidden_size=64",
    "model.shape.ffn_size=64",
    "model.shape.vocab_size=1500",
    "tokenizer.num_forced_words=200",
    "pretrain.length=64",
    "pretrain.tokens_per_step=1024",
    "pretrain.eval_steps=5",
    "pretrain.eval_rows=8",
    "pretrain.passes=0.5",
    "pretrain.samples=[The]",
]


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb"))


def logged(folder: Path, *overrides: str) -> dict[str, Any]:
    """Run the cell and read what it logged; check that every metric is in the summary."""
    result = run_cell(compose([*overrides, *WANDB, f"paths.cache={folder.parent}/cache"]), folder)
    found = read_run(folder)
    assert found["exit_code"] == 0
    known = {name.rpartition("/")[2] for name in found["summary"]}
    assert {
        name.rpartition("/")[2] for name, value in result["metrics"].items() if value is not None
    } <= known
    return found


def test_language_models_log_by_step_and_send_their_export(tmp_path: Path) -> None:
    found = logged(tmp_path / "run", *NANO, *LANGUAGE)
    assert found["run"].job_type == "pretrain"
    assert list(found["run"].tags) == ["lee", "minillm_nano"]
    rows = [row for row in found["history"] if "val/ce" in row]
    assert [row["trainer/global_step"] for row in rows] == [row["step"] for row in rows]
    assert len(rows) > 1
    assert found["summary"]["val/ce"] == min(row["val/ce"] for row in rows)
    sent = artifacts_of(tmp_path / "run")
    assert sent["figures"] == {"curve.png"}
    assert {"export/config.json", "export/model.safetensors"} <= sent["model"]

    tuning = [f"run={tmp_path}/run", *LANGUAGE]
    words = ["keywords.passes=2", "keywords.max_length=32", "keywords.min_df=2"]
    found = logged(tmp_path / "words", "task=keywords", *tuning, *words)
    axis = [row["trainer/global_step"] for row in found["history"] if "train/step_nats" in row]
    assert axis == list(range(len(axis)))
    assert len([row for row in found["history"] if "train/keyword_nats" in row]) == 2
    assert "model/mrr" in found["summary"]
    replies = ["finetune.kinds=[keyword]", "finetune.length=64", "finetune.tokens_per_step=1024"]
    found = logged(tmp_path / "replies", "task=finetune", *tuning, *replies, "finetune.replay=0")
    assert found["run"].job_type == "finetune"
    assert any("val/ce" in row for row in found["history"])


def test_select_k_logs_its_criteria_over_the_number_of_topics(tmp_path: Path) -> None:
    data = ["data=synthetic", "data.planted.num_docs=60"]
    found = logged(tmp_path / "run", "task=select_k", "select_k.candidates=[2,5]", *data)
    rows = [row for row in found["history"] if "select_k/npmi" in row]
    assert [row["select_k/num_topics"] for row in rows] == [2, 5]
    axes = {metric.name: metric.step_metric for metric in found["metrics"]}
    assert axes["select_k/npmi"] == "select_k/num_topics"
    assert found["summary"]["chosen/num_topics"] in (2, 5)
    assert artifacts_of(tmp_path / "run") == {"figures": {"select_k.png"}}


def test_a_fit_with_a_codebook_and_its_description_are_mirrored(tmp_path: Path) -> None:
    fitted = tmp_path / "run"
    cfg = configuration(*WANDB, f"paths.cache={tmp_path}/cache", model="tvqvae")
    run_cell(cfg, fitted)
    found = read_run(fitted)
    rows = [row for row in found["history"] if "codebook/mse" in row]
    assert [row["codebook/epoch"] for row in rows] == list(range(len(rows)))
    assert rows
    sent = artifacts_of(fitted)
    assert {"document_map.png", "training.png"} <= sent["figures"]
    assert {"model.safetensors", "model.json", "topics.npz"} <= sent["model"]

    quick = ["describe.layout.method=tsne", "describe.terms.min_df=1", "logger.artifacts=[figures,page]"]
    line = ["task=describe", f"run={fitted}", f"paths.cache={tmp_path}/cache", *quick, *WANDB]
    cell, folder = compose_cell(line)
    run_cell(cell, folder)
    found = read_run(folder)
    assert found["run"].display_name == "describe-tvqvae-synthetic-K2-seed0"
    assert {"synthetic", "tvqvae"} <= set(found["run"].tags)
    assert artifacts_of(folder) == {"figures": {"tree.png", "map.png"}, "page": {"page.html"}}
    assert "description/topics_used" in found["summary"]
