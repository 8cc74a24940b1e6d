"""STM: posteriors against an optimiser, effects that were planted, and documents without covariates."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
import planted
import pytest
import torch
from scipy import optimize, sparse

import topiclab
from topiclab.config.compose import ConfigError, compose
from topiclab.models.base.laplace import Prior, blocks_of, posteriors, proportions
from topiclab.models.prevalence.anchors import WordPairs, anchor_topics
from topiclab.models.prevalence.regression import pooled_coefficients
from topiclab.models.stm import STM
from topiclab.runs.run import CellFailed, run_cell

QUICK = ["data.vocabulary.min_df=1", "data.vocabulary.max_df=1.0", "model.num_draws=20", "data.split.val=0"]
NUM_DOCS, SHIFT = 400, 0.3


@cache
def answers() -> tuple[list[str], list[str], list[float]]:
    """Texts of two topics, the treated with SHIFT more of the first, and a covariate without effect."""
    rng = np.random.default_rng(0)
    words = np.array(
        [[f"fear{letter}" for letter in "abcdefghij"], [f"work{letter}" for letter in "abcdefghij"]]
    )
    treated = rng.integers(2, size=NUM_DOCS)
    share = rng.beta(2, 2, NUM_DOCS) * (1 - SHIFT) + SHIFT * treated
    tokens = [words[(rng.random(30) >= each).astype(int), rng.integers(10, size=30)] for each in share]
    groups = ["treated" if each else "control" for each in treated]
    return [" ".join(text) for text in tokens], groups, rng.normal(size=NUM_DOCS).tolist()


def write(path: Path, names: str = "text,group,noise", rows: slice = slice(None)) -> Path:
    lines = [",".join(map(str, row[: names.count(",") + 1])) for row in zip(*answers(), strict=True)]
    path.write_text("\n".join([names, *lines[rows]]) + "\n")
    return path


def line(path: Path, *more: str) -> list[str]:
    data = ["data=file", f"data.path={path}", "data.covariate_columns=[group,noise]"]
    return ["model=stm", "num_topics=2", *data, *QUICK, f"paths.cache={path.parent}/cache", *more]


def test_posteriors_are_the_modes_and_curvatures_of_the_log_joint() -> None:
    rng = np.random.default_rng(1)
    bow = sparse.csr_matrix(rng.poisson(0.4, (30, 12)).astype(np.int32))
    beta, root = rng.dirichlet(np.ones(12), 4), rng.normal(size=(3, 3))
    sigma, mu = root @ root.T + np.eye(3), rng.normal(size=(30, 3))
    (block,) = blocks_of(bow, 4)
    start = torch.from_numpy(mu[block.rows])
    found = posteriors(block, torch.from_numpy(beta.T.copy()), start, Prior.of(sigma), start, 1e-12)
    for place, row in list(enumerate(block.rows))[::7]:
        words = bow[row].toarray()[0]

        def loss(eta, words=words, row=row):
            theta = proportions(torch.from_numpy(eta)).numpy()
            gap = eta - mu[row]
            return -words @ np.log(theta @ beta) + 0.5 * gap @ np.linalg.solve(sigma, gap)

        best = optimize.minimize(loss, mu[row], options={"gtol": 1e-9})
        np.testing.assert_allclose(found.eta[place], best.x, atol=1e-5)
        hessian = optimize.approx_fprime(
            best.x, lambda eta, loss=loss: optimize.approx_fprime(eta, loss, 1e-5), 1e-4
        )
        np.testing.assert_allclose(found.covariance[place], np.linalg.inv(hessian), rtol=0.02, atol=2e-3)
        bound = -best.fun - 0.5 * np.log(np.linalg.det(hessian)) - 0.5 * np.log(np.linalg.det(sigma))
        assert found.bound[place] == pytest.approx(bound, abs=1e-3)


def test_anchor_words_find_separable_topics() -> None:
    corpus = planted.corpus()
    topics = anchor_topics(corpus.bow, 5)
    owner = np.stack([corpus.bow[corpus.labels == label].sum(axis=0).A1 for label in range(5)]).argmax(axis=0)
    main = owner[topics.argmax(axis=1)]
    assert sorted(main) == list(range(5))
    assert (owner[topics.argsort(axis=1)[:, -10:]] == main[:, None]).mean() > 0.95
    pairs, counts = WordPairs(corpus.bow), corpus.bow.toarray().astype(float)
    lengths = counts.sum(axis=1)
    dense = np.einsum("dv,dw,d->vw", counts, counts, 1 / (lengths * (lengths - 1)))
    dense -= np.diag(counts.T @ (1 / (lengths * (lengths - 1))))
    dense /= dense.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pairs.times(np.eye(corpus.num_words)), dense, atol=1e-12)
    np.testing.assert_allclose(pairs.rows(np.arange(3)), dense[:3], atol=1e-12)


def test_a_regression_keeps_what_is_there_and_shrinks_noise() -> None:
    rng = np.random.default_rng(2)
    matrix = np.column_stack([np.ones(500), rng.normal(size=(500, 3))])
    true = np.array([[4.0, 4.0], [2.0, 0], [-1.0, 0], [0.5, 0]])
    found = pooled_coefficients(matrix, matrix @ true + rng.normal(size=(500, 2)))
    np.testing.assert_allclose(found[:, 0], true[:, 0], atol=0.15)
    assert np.abs(found[1:, 1]).max() < 0.05


def test_planted_effects_have_intervals_and_new_documents_need_covariates(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv")
    run_cell(compose(line(path)), tmp_path / "run")
    with (tmp_path / "run" / "effects.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    fear = next(row["topic"] for row in rows if row["words"].startswith("fear"))
    found = {row["effect"]: row for row in rows if row["topic"] == fear and row["kind"] == "contrast"}
    (treated,) = (row for name, row in found.items() if name.startswith("group: "))
    sign = 1 if treated["effect"].endswith("treated") else -1
    low, high = sorted(sign * float(treated[end]) for end in ("low", "high"))
    assert 0 < low < SHIFT < high < 2 * SHIFT
    (nothing,) = (row for name, row in found.items() if name.startswith("noise: "))
    assert float(nothing["low"]) < 0 < float(nothing["high"])
    assert (tmp_path / "run" / "effects.png").stat().st_size > 10_000

    fitted = topiclab.load(tmp_path / "run")
    texts, groups, noise = answers()
    theta = fitted.transform(texts[:5], covariates={"group": groups[:5], "noise": noise[:5]})
    np.testing.assert_allclose(theta, fitted.result.theta[:5], atol=1e-5)
    with pytest.raises(
        ValueError, match=r"give those of these texts .*data\.covariate_columns=\[group,noise\]"
    ):
        fitted.transform(texts[:5])
    blank = fitted.transform(["unheard"] * 2, covariates={"group": ["treated", "control"], "noise": [0, 0]})
    assert (blank == 0.5).all()
    ask = ["task=predict", f"run={tmp_path / 'run'}", "data=file", f"data.path={path}"]
    run_cell(compose([*ask, "data.covariate_columns=[group,noise]"]), tmp_path / "told")
    np.testing.assert_allclose(np.load(tmp_path / "told" / "theta.npy"), fitted.result.theta, atol=1e-5)
    with pytest.raises(CellFailed, match=r"have no covariate group, noise.*data\.covariate_columns=\[group"):
        run_cell(compose(ask), tmp_path / "asked")


def test_a_line_without_covariates_is_refused_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv")
    with pytest.raises(
        ConfigError, match=r"add data\.covariate_columns=\[<columns>\], or model\.prevalence=none"
    ):
        compose([*line(path)[:3], f"data.path={path}"])
    with pytest.raises(ConfigError, match="data=lee lacks; use data=file"):
        compose(["model=stm"])
    with pytest.raises(CellFailed, match=r"model=stm reads covariates, but texts has none; .*covariates=\)"):
        topiclab.fit(answers()[0], "stm", 2, overrides=[*QUICK, f"paths.cache={tmp_path}"])
    run_cell(compose(line(path, "model.prevalence=[noise]")), tmp_path / "run")
    known = topiclab.load(tmp_path / "run").model.known_covariates
    assert known is not None
    assert known.names == ("noise",)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["manifest"]["fit"]["is_converged"]


def test_the_bound_rises() -> None:
    options = {"init": "random", "tolerance": 1e-9, "eta": 1e-9, "sigma_shrinkage": 0, "num_draws": 1}
    bounds = []
    for iterations in range(2, 9, 2):
        model = STM(prevalence="none", max_iterations=iterations, num_topics=5, seed=1, **options)
        model._fit(planted.datamodule())
        bounds.append(model.info["bound"])
    assert (np.diff(bounds) > 0).all()
