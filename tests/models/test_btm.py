"""BTM: its biterms, its chain against the posterior by enumeration, and its proportions, all by hand."""

import itertools
from types import SimpleNamespace

import numpy as np
import planted
import pytest
from collapsed_gibbs import log_joint
from scipy import sparse

from topiclab.models.sampling.biterms import biterm_proportions, biterms_of, sample_biterms
from topiclab.pipeline.build import make_model


def test_biterms_are_pairs_within_the_window_of_one_document():
    found = biterms_of(np.array([5, 6, 6, 7, 1, 2]), np.array([0, 4, 4, 6]), 3)
    assert found.tolist() == [[5, 6], [5, 6], [6, 6], [6, 7], [6, 7], [1, 2]]


def test_the_chain_draws_from_the_posterior():
    biterms = np.array([[0, 1], [0, 0], [1, 2], [2, 3]], dtype=np.int32)
    priors = {"alpha": 0.7, "eta": 0.4}
    every = np.array(list(itertools.product(range(2), repeat=len(biterms))))
    weights = np.empty(len(every))
    for number, topics in enumerate(every):
        sizes, words = np.zeros((1, 2)), np.zeros((2, 4))
        np.add.at(sizes[0], topics, 1)
        np.add.at(words, (topics[:, None], biterms), 1)
        weights[number] = log_joint(sizes, words, **priors)
    share_topic = (every[:, :, None] == every[:, None]).astype(float)
    exact = np.tensordot(np.exp(weights) / np.exp(weights).sum(), share_topic, 1)

    options = {"num_words": 4, "num_topics": 2, "num_sweeps": 20, **priors}
    drawn = np.array([sample_biterms(biterms, **options, seed=seed)[2] for seed in range(5000)])
    found = (drawn[:, :, None] == drawn[:, None]).mean(axis=0)
    np.testing.assert_allclose(found, exact, atol=0.03)
    assert exact.min() < 0.45 < 0.6 < exact[~np.eye(4, dtype=bool)].max()  # unlike an uninformed guess


def test_proportions_are_the_mean_over_the_pairs_of_a_bag():
    rng = np.random.default_rng(0)
    words, shares = rng.dirichlet(np.ones(4), 3).T, rng.dirichlet(np.ones(3))
    bow = sparse.csr_matrix(np.array([[2, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.int32))
    expected = []
    for tokens in ([0, 0, 1, 3], [2], []):
        pairs = list(itertools.combinations(tokens, 2)) or [tokens]
        of_pairs = np.array([shares * words[list(pair)].prod(axis=0) for pair in pairs])
        expected.append((of_pairs / of_pairs.sum(axis=1, keepdims=True)).mean(axis=0))
    np.testing.assert_allclose(biterm_proportions(bow, words, shares), expected, rtol=1e-5)


def test_texts_and_windows_without_pairs_and_ngrams_are_refused():
    model = make_model(planted.configuration("model=btm"), planted.datamodule())
    bow = sparse.csr_matrix(np.array([[0, 1, 0], [0, 0, 0]]))
    tokens = {"token_ids": np.array([1, -1]), "token_offsets": np.arange(3)}
    corpus = SimpleNamespace(num_docs=2, num_words=3, vocab=("a", "b", "a b"), bow=bow, **tokens)
    with pytest.raises(ValueError, match=r"finds no pair of words.* lower data\.vocabulary\.min_df"):
        model._fit(SimpleNamespace(corpus=corpus, train_rows=np.arange(2)))
    corpus.bow = sparse.csr_matrix(np.array([[0, 1, 1], [0, 0, 0]]))
    with pytest.raises(ValueError, match=r"where 'a b' does not stand; use data\.vocabulary\.ngrams"):
        model._fit(SimpleNamespace(corpus=corpus, train_rows=np.arange(2)))
    with pytest.raises(ValueError, match=r"model\.window=1 .* give 2 or more"):
        make_model(planted.configuration("model=btm", "model.window=1"), planted.datamodule())
