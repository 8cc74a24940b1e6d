"""best.ckpt: the weights of the lowest validation loss, kept in every fit with validation documents."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_cells import NO_SPLIT, cell, check_same_topics

from topiclab.checkpoint import load_checkpoint
from topiclab.models.base.training import BestWeights
from topiclab.pipeline.inputs import advice_on_topics

FEW = ["trainer.max_epochs=6", "model.lr=0.05", "model.kl_warmup=0.5"]


def test_the_best_epoch_after_the_warmup_is_kept_beside_the_last(tmp_path: Path) -> None:
    cell(tmp_path / "run", *FEW, f"paths.cache={tmp_path}/cache", model="theta")
    checkpoints = tmp_path / "run" / "checkpoints"
    best, last = (load_checkpoint(checkpoints / f"{name}.ckpt") for name in ("best", "last"))
    losses = [entry["val/loss"] for entry in json.loads((tmp_path / "run/training_history.json").read_text())]
    assert best["val/loss"] == pytest.approx(min(losses[2:]))
    assert best["epoch"] == 2 + int(np.argmin(losses[2:]))
    assert best["state_dict"].keys() == last["state_dict"].keys()
    saved = load_file(tmp_path / "run" / "model.safetensors")
    names = [name for name in saved if name.startswith("encoder") and name.endswith("weight")]
    assert names
    assert all(torch.equal(saved[name], last["state_dict"][name]) for name in names)


def test_a_fit_resumed_or_with_a_damaged_checkpoint_keeps_the_same_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line = [*FEW, "trainer.checkpoint_seconds=0", f"paths.cache={tmp_path}/cache"]
    cell(tmp_path / "whole", *line, model="theta")

    def killed(self: BestWeights, trainer, pl_module) -> None:
        if trainer.current_epoch == 4:
            raise KeyboardInterrupt
        kept(self, trainer, pl_module)

    kept = BestWeights.on_validation_end
    monkeypatch.setattr(BestWeights, "on_validation_end", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        cell(tmp_path / "run", *line, model="theta")
    monkeypatch.setattr(BestWeights, "on_validation_end", kept)
    with caplog.at_level(logging.INFO):
        cell(tmp_path / "run", *line, model="theta")
    assert "resuming from" in caplog.text
    check_same_topics(tmp_path / "whole", tmp_path / "run")
    first, second = (load_checkpoint(tmp_path / name / "checkpoints/best.ckpt") for name in ("whole", "run"))
    assert first["epoch"] == second["epoch"]
    assert all(
        torch.equal(first["state_dict"][name], second["state_dict"][name]) for name in first["state_dict"]
    )

    (tmp_path / "run/result.json").unlink()
    (tmp_path / "run/checkpoints/last.ckpt").write_bytes(b"damaged")
    caplog.clear()
    cell(tmp_path / "run", *line, model="theta")
    assert "starting over" in caplog.text
    check_same_topics(tmp_path / "whole", tmp_path / "run")


def test_without_validation_documents_there_is_no_best(tmp_path: Path) -> None:
    cell(tmp_path / "run", *NO_SPLIT, f"paths.cache={tmp_path}/cache", model="theta")
    assert not (tmp_path / "run/checkpoints/best.ckpt").exists()


def test_a_number_of_topics_far_from_the_guideline_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert advice_on_topics(10, 300) is None  # make demo
    assert advice_on_topics(40, 999) is None
    assert "10 to 20 topics that usually suit 300 documents" in (advice_on_topics(41, 300) or "")
    assert advice_on_topics(10, 10_000) is None
    assert "20 to 50" in (advice_on_topics(9, 10_000) or "")
    assert "50 to 100" in (advice_on_topics(24, 10_001) or "")
    cell(tmp_path / "run", f"paths.cache={tmp_path}/cache")
    assert caplog.text.count("num_topics=2 is far from the 10 to 20") == 1
