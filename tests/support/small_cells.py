"""Small cells for the tests of bad input and recovery: few documents, quick settings, checks."""

import json

import numpy as np
import pytest
from every_model import quick_settings

from topiclab.config.compose import compose
from topiclab.result import TopicResult
from topiclab.runs.run import CellFailed, run_cell

CORPUS = [
    "data=synthetic",
    "data.planted.num_docs=40",
    "data.vocabulary.min_df=1",
    "data.vocabulary.max_df=1.0",
]
SMALL = [
    "model.encoder.hidden_dims=[32,32]",
    "model.init_epochs=1",
    "model.min_steps=1",
    "trainer.max_epochs=2",
]
NO_SPLIT = ["data.split.val=0", "data.split.test=0"]
# Stops after 3 of 8 epochs: with no step taken and no running statistics, no epoch is better than the first.
STOPS_EARLY = [
    "trainer.patience=2",
    "model.lr=1e-30",
    "model.kl_warmup=0",
    "model.encoder.hidden_batch_norm=false",
]


def configuration(*overrides, model="kmeans"):
    small = quick_settings(model, "few", SMALL)
    fixed = [f"model={model}", "num_topics=2", "trainer.device=cpu", "paths.cache=cache"]
    return compose([*CORPUS, *fixed, *small, *overrides])


def cell(folder, *overrides, model="kmeans"):
    return run_cell(configuration(*overrides, model=model), folder)


def check_failure(folder, message, *overrides, model="kmeans"):
    """Check that the cell fails with the message, in the error and in result.json, and leaves no topics."""
    with pytest.raises(CellFailed, match=message) as caught:
        cell(folder, *overrides, model=model)
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "failed"
    assert result["reason"] == str(caught.value).partition("\ntraceback: ")[0]
    assert not (folder / "topics.npz").exists()


def check_same_topics(folder, other):
    first, second = (TopicResult.load(path / "topics.npz") for path in (folder, other))
    np.testing.assert_array_equal(first.theta, second.theta)
    np.testing.assert_array_equal(first.beta, second.beta)
    assert first.topic_words() == second.topic_words()
