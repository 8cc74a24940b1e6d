"""DMR: planted effects of a category, which decide about empty documents, and the covariates it refuses."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from scipy import sparse

from topiclab.data.covariates import read_covariates
from topiclab.data.datamodule import TopicDataModule
from topiclab.pipeline.build import make_model

NAMES = list("abcde")


def covariates(values, like=None):
    return read_covariates({"group": values}, [f"row {row}" for row in range(len(values))], like=like)


def model_and_data(values):
    """DMR and the planted corpus with a covariate of these values."""
    datamodule = TopicDataModule(replace(planted.corpus(), covariates=covariates(values)), None)
    cfg = planted.configuration("model=dmr", "model.prevalence=all", "data=texts")
    return make_model(cfg, datamodule), datamodule, cfg


def test_planted_effects_are_found_saved_and_decide_about_empty_documents(tmp_path):
    groups = [NAMES[label] for label in planted.corpus().labels]
    model, datamodule, cfg = model_and_data(groups)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    assert planted.recovery(result) >= 0.9
    twin = model_and_data(groups)[0]
    twin.load_state(model.state())
    told = covariates(NAMES, like=twin.known_covariates)
    theta = twin.transform(sparse.csr_matrix((5, planted.corpus().num_words), dtype=np.int32), None, told)
    usual = [result.theta[planted.corpus().labels == label].mean(axis=0).argmax() for label in range(5)]
    assert theta.argmax(axis=1).tolist() == usual
    assert theta.max(axis=1).min() > 0.6
    model.explain(datamodule, tmp_path)
    rows = [line.split(",") for line in (tmp_path / "priors.csv").read_text().splitlines()]
    assert rows[0] == ["covariate", "topic", "words", "gamma", "share"]
    shares = {(row[0], int(row[1])): float(row[4]) for row in rows[1:]}
    for name, label in zip(NAMES, range(5), strict=True):
        column = f"group={name}" if f"group={name}" in model.design.names else "(intercept)"
        assert shares[column, usual[label]] == pytest.approx(theta[label].max(), abs=1e-3)


def test_numbers_and_documents_without_covariates_are_refused(tmp_path):
    model, datamodule, _ = model_and_data(np.arange(600) % 7)
    with pytest.raises(ValueError, match=r"group is a number .*\[category group\].* model=stm"):
        model._fit(datamodule)
    bare = model_and_data(NAMES * 120)[0]
    with pytest.raises(ValueError, match=r"has none; name data\.covariate_columns .*prevalence=none"):
        bare._fit(planted.datamodule())
