"""Gibbs samplers: the fold-in's maximum, tokens against counts, learned and fixed priors, planted topics."""

import numpy as np
import planted
import pytest
from scipy import sparse

from topiclab.config import checks
from topiclab.models.sampling.fold_in import fold_in
from topiclab.models.sampling.tokens import token_lists
from topiclab.pipeline.build import make_model

RNG = np.random.default_rng(0)


def fitted(folder, *overrides):
    cfg = planted.configuration(*overrides)
    model = make_model(cfg, planted.datamodule())
    return model, model.fit(planted.datamodule(), folder, cfg.trainer)


@pytest.mark.parametrize(("num_docs", "num_words", "num_topics"), [(1, 1, 1), (7, 30, 3), (40, 200, 20)])
def test_fold_in_finds_the_maximum(num_docs, num_words, num_topics):
    beta = RNG.dirichlet(np.full(num_words, 0.3) if num_words > 1 else [1.0], num_topics) + 1e-6
    alpha = RNG.uniform(0.01, 1, num_topics)
    bow = sparse.csr_matrix(RNG.poisson(0.3, (num_docs, num_words)).astype(np.int32))

    def objective(theta):
        return (bow.toarray() * np.log(theta @ beta)).sum(1) + np.log(theta) @ alpha

    theta = fold_in(bow, beta, alpha).astype(np.float64)
    np.testing.assert_allclose(theta.sum(1), 1, atol=1e-6)
    best = objective(theta)
    for step in (1e-3, 1e-1):
        other = (1 - step) * theta + step * RNG.dirichlet(np.ones(num_topics), num_docs)
        assert (objective(other) <= best + 1e-6).all()
    order = RNG.permutation(num_docs)
    np.testing.assert_array_equal(fold_in(bow[order], beta, alpha), theta[order].astype(np.float32))


def test_an_empty_bag_gets_the_prior():
    theta = fold_in(sparse.csr_matrix((1, 4), dtype=np.int32), np.full((2, 4), 0.25), np.array([3.0, 1.0]))
    np.testing.assert_allclose(theta, [[0.75, 0.25]])


def test_token_lists_hold_the_counts_and_skip_empty_documents():
    bow = sparse.csr_matrix(np.array([[2, 0, 1], [0, 0, 0], [0, 3, 0]], dtype=np.int32))
    assert list(token_lists(bow)) == [["0", "0", "2"], ["1", "1", "1"]]


@pytest.mark.parametrize("prior", ["symmetric", "asymmetric"])
def test_a_fixed_prior_stays(prior, tmp_path):
    model, _ = fitted(tmp_path, "model=lda_gibbs", f"model.alpha={prior}")
    weights = np.ones(5) if prior == "symmetric" else 1 / (np.arange(5) + np.sqrt(5))
    np.testing.assert_allclose(model.alpha, weights / weights.sum(), rtol=1e-5)


def test_topics_are_all_the_tokens_and_the_prior_is_learned(tmp_path):
    model, result = fitted(tmp_path, "model=lda_gibbs")
    bow = planted.datamodule().train_bow
    assert model.topic_counts.sum() == pytest.approx(bow.sum() + 0.1 * model.topic_counts.size, rel=1e-5)
    assert not np.allclose(model.alpha, 0.2)
    assert result.word_nll.sum() / planted.corpus().bow.sum() < np.log(planted.corpus().num_words)


def test_more_samples_than_sweeps_are_refused():
    with pytest.raises(ValueError, match=r"num_samples=11 .*num_sweeps=100; raise num_sweeps"):
        make_model(planted.configuration("model=lda_gibbs", "model.num_samples=11"), planted.datamodule())


@pytest.mark.parametrize("num_topics", [3, 30])
def test_hdp_keeps_the_largest_topics_and_says_how_many_it_found(num_topics, tmp_path):
    model, result = fitted(tmp_path, "model=hdp", f"num_topics={num_topics}")
    found = result.info["topics_found"]
    assert result.num_topics == min(found, num_topics)
    assert (result.info["tokens_kept"] == pytest.approx(1)) == (found <= num_topics)
    assert (np.diff(model.topic_counts.sum(1)) <= 0).all()


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("lda_gibbs", r"needs the package tomotopy: pip install 'topiclab\[gibbs\]'"),
        ("bertopic", r"needs the package bertopic: pip install 'topiclab\[bertopic\]'"),
    ],
)
def test_a_missing_extra_is_told_before_anything_starts(model, told, monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda package: None)
    with pytest.raises(ValueError, match=told):
        planted.configuration(f"model={model}")
    planted.configuration("model=kmeans")
