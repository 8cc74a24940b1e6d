"""The W&B mirror, offline: the run's file on disk, read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from wandb_folder import read_run

from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.metrics.evaluation import Evaluation
from topiclab.pipeline.wandb_log import log_results, tags_of, wandb_logger
from topiclab.report.figures.base import MAP_DOCUMENTS, document_coordinates
from topiclab.result import TopicResult

NUM_DOCS, NUM_TOPICS, NUM_WORDS = 40, 3, 12
GIVEN: dict[str, Any] = {
    "name": "mirror",
    "num_topics": NUM_TOPICS,
    "seed": 4,
    "task": {"name": "fit"},
    "data": {"name": "toy"},
    "model": {"name": "theta", "lr": 0.01},
    "embedder": {"name": "lsa"},
    "mode": {"name": "zero_shot"},
    "objective": {"name": "bow"},
    "logger": {
        "name": "wandb",
        "project": "topiclab",
        "entity": None,
        "mode": "offline",
        "tags": ["mine", "theta"],
    },
}
CFG = Configuration.of({**compose(), **GIVEN})


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")


@pytest.fixture
def corpus() -> Corpus:
    counts = sparse.csr_matrix(np.ones((NUM_DOCS, NUM_WORDS), np.int32))
    offsets = np.arange(NUM_DOCS + 1, dtype=np.int64) * NUM_WORDS
    return Corpus(
        name="toy",
        ids=tuple(f"doc{i}" for i in range(NUM_DOCS)),
        texts=tuple(f"confidential text {i}" for i in range(NUM_DOCS)),
        vocab=tuple(f"word{i}" for i in range(NUM_WORDS)),
        bow=counts,
        token_ids=np.tile(np.arange(NUM_WORDS, dtype=np.int32), NUM_DOCS),
        token_offsets=offsets,
        split=np.zeros(NUM_DOCS, np.int8),
        labels=np.arange(NUM_DOCS) % 3 - 1,
        label_names=("red", "blue"),
    )


@pytest.fixture
def result(corpus: Corpus) -> TopicResult:
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(np.full(NUM_TOPICS, 0.1), NUM_DOCS).astype(np.float32)
    return TopicResult(theta, rng.dirichlet(np.ones(NUM_WORDS), NUM_TOPICS).astype(np.float32), corpus.vocab)


EVALUATION = Evaluation(
    metrics={"npmi": 0.25, "test/purity": 0.5, "train/perplexity": float("nan")},
    reasons={"train/perplexity": "no likelihood"},
    per_topic={"npmi": [0.1, float("nan"), 0.4]},
)


def test_an_offline_run_holds_what_the_cell_found(
    tmp_path: Path, corpus: Corpus, result: TopicResult
) -> None:
    with wandb_logger(CFG, tmp_path) as logger:
        assert logger is not None
        for step in range(3):
            logger.log_metrics({"train/loss": 9.0 - step, "epoch": step}, step=step)
        log_results(logger, result, corpus, EVALUATION, tmp_path)
    found = read_run(tmp_path)
    assert found["run"].run_group == "mirror"
    assert found["run"].job_type == "fit"
    assert set(found["run"].tags) == {"toy", "theta", "lsa", "zero_shot", "bow", "mine"}
    assert found["run"].run_id == (tmp_path / "wandb_id.txt").read_text()
    assert {key: found["config"][key] for key in GIVEN} == GIVEN
    assert found["summary"]["topics/npmi"] == 0.25
    assert found["summary"]["test/purity"] == 0.5
    assert "train/perplexity" not in found["summary"]
    assert [row["train/loss"] for row in found["history"] if "train/loss" in row] == [9.0, 8.0, 7.0]
    assert found["exit_code"] == 0

    (path,) = found["path"].parent.glob("files/media/table/topics/*.table.json")
    table = json.loads(path.read_text())
    assert table["columns"] == ["topic", "share", "words", "npmi"]
    assert [row[3] for row in table["data"]] == [0.1, None, 0.4]
    assert sum(row[1] for row in table["data"]) == pytest.approx(1, abs=1e-5)
    assert table["data"][0][2].split() == result.topic_words(10)[0]
    (path,) = found["path"].parent.glob("files/media/table/documents/*.table.json")
    labels = [row[4] for row in json.loads(path.read_text())["data"]]
    assert labels[:3] == [None, "red", "blue"]
    assert len(labels) == NUM_DOCS
    assert list(found["path"].parent.glob("files/media/images/documents/map*.png"))


def test_neither_key_nor_text_is_written(tmp_path: Path, corpus: Corpus, result: TopicResult) -> None:
    with wandb_logger(CFG, tmp_path) as logger:
        log_results(logger, result, corpus, EVALUATION, tmp_path)
    assert read_run(tmp_path)["exit_code"] == 0
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"doc7" in written
    assert b"confidential" not in written
    assert b"0123456789abcdef0123" not in written


def test_an_error_closes_the_run_as_failed(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError), wandb_logger(CFG, tmp_path):
        raise FloatingPointError("loss is nan")
    assert read_run(tmp_path)["exit_code"] == 1


def test_a_resumed_cell_keeps_its_id_and_a_sweep_agent_owns_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    asked: list[dict[str, Any]] = []

    def refuse(**settings: Any) -> None:
        asked.append(settings)
        raise InterruptedError

    monkeypatch.setattr(wandb, "init", refuse)
    online = replace(CFG, logger={**CFG.logger, "mode": "online"})
    for sweep in (None, None, "sweep7"):
        if sweep:
            monkeypatch.setenv("WANDB_SWEEP_ID", sweep)
        with pytest.raises(InterruptedError), wandb_logger(online, tmp_path):
            pass
    assert asked[0]["id"] == asked[1]["id"] == (tmp_path / "wandb_id.txt").read_text()
    assert asked[0]["resume"] == "allow"
    assert asked[2]["id"] is None
    assert asked[2]["resume"] is None


def test_without_wandb_nothing_is_done(tmp_path: Path, corpus: Corpus, result: TopicResult) -> None:
    with wandb_logger(replace(CFG, logger={"name": "csv"}), tmp_path) as logger:
        assert logger is None
        log_results(logger, result, corpus, EVALUATION, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tags_are_short_and_named_once() -> None:
    tags = tags_of(CFG, replace(CFG, data={"name": "x" * 99}))
    assert max(map(len, tags)) == 64
    assert tags.count("theta") == 1


def test_the_map_keeps_neighbours_together_and_is_seeded() -> None:
    theta = np.eye(3)[np.arange(60) % 3] * 0.9 + 0.1 / 3
    rows, places = document_coordinates(theta + np.random.default_rng(0).uniform(0, 1e-3, theta.shape))
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(60) * 1e9
    assert (gaps.argmin(axis=1) % 3 == rows % 3).all()
    large = np.random.default_rng(1).dirichlet(np.ones(3), MAP_DOCUMENTS + 5)
    large[:] = large[0]
    rows, places = document_coordinates(large)
    assert len(rows) == MAP_DOCUMENTS
    assert not places.any()
