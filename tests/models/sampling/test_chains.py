"""The sampler against enumeration, tomotopy against both, R-hat of chains whose answer is known."""

import json

import numpy as np
import planted
import pytest
from collapsed_gibbs import CollapsedGibbs, together_by_enumeration
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

from topiclab.models.gibbs import LDAGibbs
from topiclab.models.sampling.convergence import ranked_r_hat, split_r_hat
from topiclab.pipeline.build import make_model

TOY = [np.array([0, 0, 1]), np.array([2, 3, 2]), np.array([0, 3])]  # four words, three documents
RNG = np.random.default_rng(0)


def sampler(num_topics, **options):
    fixed = {"num_workers": 1, "alpha": "symmetric", "seed": 0, "num_words": 0, "embedding_dim": 0}
    return LDAGibbs(num_topics=num_topics, **{**fixed, **options})


def counted(documents, num_words):
    return sparse.csr_matrix(np.stack([np.bincount(words, minlength=num_words) for words in documents]))


def planted_documents(num_topics, num_docs, num_words, length, concentration=0.05):
    beta = RNG.dirichlet(np.full(num_words, concentration), num_topics)
    theta = RNG.dirichlet(np.full(num_topics, 0.1), num_docs)
    return beta, [RNG.choice(num_words, length, p=mixture / mixture.sum()) for mixture in theta @ beta]


def matched_cosine(first, second):
    first, second = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second))
    similar = first @ second.T
    return similar[linear_sum_assignment(-similar)].mean()


def test_the_oracle_draws_from_the_exact_posterior():
    exact = together_by_enumeration(TOY, 4, 2, alpha=0.5, eta=0.3)
    oracle = CollapsedGibbs(TOY, 4, 2, alpha=0.5, eta=0.3, seed=1)
    drawn = np.zeros_like(exact)
    for _ in range(6000):
        oracle.sweep()
        drawn += oracle.topics[:, None] == oracle.topics
    np.testing.assert_allclose(drawn / 6000, exact, atol=0.03)
    assert exact.min() < 0.4 < 0.6 < exact[exact < 1].max()  # the posterior is informative


def test_tomotopy_draws_from_the_exact_posterior():
    """Compares sum_k beta_kv beta_kw of the samples with its expectation, enumerated on the two-topic toy."""
    together = np.zeros((4, 4))
    for seed in range(3):
        chain = sampler(2, num_sweeps=4000, num_samples=3900, thinning=1, eta=0.3, seed=seed)._chain(
            counted(TOY, 4), seed, [100, *[1] * 3900]
        )
        for counts in chain.topic_counts:
            dense = counts.toarray()
            together += dense.T @ dense
    words = np.concatenate(TOY)
    exact = np.zeros((4, 4))
    np.add.at(exact, (words[:, None], words), together_by_enumeration(TOY, 4, 2, alpha=0.5, eta=0.3))
    np.testing.assert_allclose(together / 11700, exact, atol=0.12)


def test_tomotopy_and_the_oracle_find_the_same_topics():
    _, documents = planted_documents(4, 60, 40, 40)
    oracle = CollapsedGibbs(documents, 40, 4, alpha=0.25, eta=0.1, seed=0)
    counts = np.zeros((4, 40))
    for sweep in range(80):
        oracle.sweep()
        counts += oracle.topic_word if sweep >= 60 else 0
    chain = sampler(4, num_sweeps=300, num_samples=20, eta=0.1)._chain(
        counted(documents, 40), 0, [100, *[10] * 20]
    )
    assert matched_cosine(chain.mean_counts(0.1), counts) >= 0.9


def test_ten_planted_topics_are_recovered():
    beta, documents = planted_documents(10, 1000, 400, 80)
    chain = sampler(10, num_sweeps=500, num_samples=20, eta=0.1)._chain(
        counted(documents, 400), 0, [300, *[10] * 20]
    )
    assert matched_cosine(chain.mean_counts(0.1), beta) >= 0.95


def test_r_hat_of_known_chains():
    level = RNG.normal(size=(4, 500))
    assert split_r_hat(level) == pytest.approx(1, abs=0.02)
    assert ranked_r_hat(level) == pytest.approx(1, abs=0.02)
    apart = level + np.array([0, 0, 0, 3])[:, None]
    assert split_r_hat(apart) > 1.5
    drifting = level + np.linspace(0, 4, 500)  # which only split halves detect
    assert split_r_hat(drifting) > 1.3
    wide = level * np.array([1, 1, 1, 8])[:, None]  # which only distances to the median detect
    assert split_r_hat(wide) < 1.02 < 1.1 < ranked_r_hat(wide)
    assert ranked_r_hat(norm.cdf(apart)) == pytest.approx(ranked_r_hat(apart), abs=0.2)
    # halves (0, 2) and (1, 3): W = 2, B/n = .5, so (1/2 W + .5) / W = .75
    assert split_r_hat(np.array([[0, 2, 1, 3]])) == pytest.approx(np.sqrt(0.75))
    assert split_r_hat(np.ones((2, 8))) == 1
    assert np.isnan(split_r_hat(np.ones((2, 3))))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    options = ("model.num_chains=3", "model.num_sweeps=120", "model.num_samples=20", "model.thinning=5")
    cfg = planted.configuration("model=lda_gibbs", *options)
    model = make_model(cfg, planted.datamodule())
    result = model.fit(planted.datamodule(), folder, cfg.trainer)
    model.explain(planted.datamodule(), folder)
    with np.load(folder / "chains.npz") as arrays:
        return model, result, json.loads((folder / "chains.json").read_text()), dict(arrays)


def test_the_likeliest_chain_is_the_result(run):
    model, result, facts, arrays = run
    assert facts == result.info == model.info
    assert facts["chosen_chain"] == int(np.argmax(facts["log_likelihood"]))
    assert (facts["burn_in"], facts["num_samples"], len(set(facts["chain_seeds"]))) == (20, 20, 3)
    np.testing.assert_allclose(arrays["beta"][facts["chosen_chain"]], result.beta, rtol=1e-5)
    np.testing.assert_array_equal(arrays["sweeps"], np.arange(5, 125, 5))
    assert (arrays["low"] <= arrays["mean"] + 1e-12).all()
    assert (arrays["mean"] <= arrays["high"] + 1e-12).all()
    assert ranked_r_hat(arrays["log_likelihood"][:, -20:]) == pytest.approx(facts["ranked_r_hat"])


def test_theta_of_the_samples_and_of_the_fold_in_agree(run):
    _, result, facts, arrays = run
    shares = arrays["shares"][facts["chosen_chain"]]
    np.testing.assert_allclose(arrays["theta"].sum(axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(shares.mean(axis=0), arrays["theta"].mean(axis=0), atol=1e-4)
    folded = result.theta[arrays["rows"]]
    assert np.abs(folded - arrays["theta"]).mean() < 0.05
    assert (folded.argmax(axis=1) == arrays["theta"].argmax(axis=1)).mean() > 0.95


def test_a_chain_is_the_same_beside_others(run):
    model, _, _, _ = run
    cfg = planted.configuration(
        "model=lda_gibbs", "model.num_sweeps=120", "model.num_samples=20", "model.thinning=5"
    )
    alone = make_model(cfg, planted.datamodule())
    alone._fit(planted.datamodule())
    np.testing.assert_array_equal(
        alone.chains.chains[0].log_likelihood, model.chains.chains[0].log_likelihood
    )
