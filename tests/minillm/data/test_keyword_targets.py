"""Targets of the masked-keyword task, against five documents counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from topiclab.minillm.data.keyword_targets import keyword_statistics

WORDS = ("cat", "dog", "jazz", "band", "code")
# The last of the five is held out.
DOCUMENTS = [[0, 1, 0], [2, 3], [2, 3, -1, 4], [4, 0], [4, 4, 4, 3, 1]]


def statistics(documents=DOCUMENTS, **options):
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in documents])])
    bow = np.zeros((len(documents), len(WORDS)), np.int32)
    for row, ids in enumerate(documents):
        np.add.at(bow[row], [word for word in ids if word >= 0], 1)
    options = {"window": 3, "min_df": 1, "num_neighbours": 50} | options
    train = np.arange(4)
    counts = sparse.csr_matrix(bow)
    return counts, keyword_statistics(counts, np.concatenate(documents), offsets, train, **options)


def test_salience_is_saturated_frequency_times_idf() -> None:
    bow, found = statistics()
    df = np.array([2, 1, 2, 2, 2])
    idf = np.log(1 + (4 - df + 0.5) / (df + 0.5))
    np.testing.assert_allclose(found.idf, idf)
    np.testing.assert_allclose(found.prior, np.array([3, 1, 2, 2, 2]) / 10)
    twice, once = 2 * 2.2 / (2 + 1.2) * idf[0], idf[1]
    first = found.salience(bow).toarray()[0]
    np.testing.assert_allclose(first, [twice / (twice + once), once / (twice + once), 0, 0, 0])


def test_neighbours_are_words_that_stand_together_in_training_documents() -> None:
    _, found = statistics()
    # Windows of 3: cat-dog twice, jazz-band twice, band-code once (one word between them), code-cat once.
    totals, pairs = np.array([3, 2, 2, 3, 2]), {(0, 1): 2, (2, 3): 2, (3, 4): 1, (4, 0): 1}
    wanted = np.zeros((5, 5))
    for (one, other), count in pairs.items():
        information = np.log(count * totals.sum() / (totals[one] * totals[other])) - np.log(5)
        wanted[one, other] = wanted[other, one] = np.exp(information) if information > 0 else 0
    assert not wanted.any()  # with 12 ends no pair is five times as frequent as by chance
    assert found.neighbours.nnz == 0


def test_neighbours_beyond_chance_share_by_their_information() -> None:
    words = 12
    documents = [[2 * pair, 2 * pair + 1] for pair in range(6)] + [[0, 3], [0, 1]]
    offsets = np.arange(0, 2 * len(documents) + 1, 2)
    bow = np.zeros((len(documents), words), np.int32)
    for row, ids in enumerate(documents):
        bow[row, ids] = 1
    found = keyword_statistics(
        sparse.csr_matrix(bow),
        np.concatenate(documents),
        offsets,
        np.arange(7),
        window=10,
        min_df=1,
        num_neighbours=1,
    )
    # 14 ends of 7 pairs: ln(14 / 1) for 4-5 and ln(14 / (2 * 2)) for 0-1, against ln 5
    near = found.neighbours.toarray()
    assert near[4, 5] == near[0, 1] == 1
    assert near[0, 3] == 0
    bare = sparse.csr_matrix(np.eye(words, dtype=np.int32)[[4]])
    assert found.diffusion(bare).toarray()[0].nonzero()[0].tolist() == [5]
    assert found.targets(bare, own=0.5, prior_power=0, perplexity=2).toarray()[0, [4, 5]] == pytest.approx(
        0.5
    )


def test_targets_have_the_perplexity_asked_for_and_favour_rare_words() -> None:
    generator = np.random.default_rng(0)
    bow = sparse.csr_matrix(generator.poisson(0.3 / np.arange(1, 61), (200, 60)).astype(np.int32))
    tokens = np.concatenate([np.repeat(bow[row].indices, bow[row].data) for row in range(200)])
    offsets = np.concatenate([[0], np.cumsum(np.asarray(bow.sum(axis=1)).ravel())])
    options = {"window": 10, "min_df": 1, "num_neighbours": 50}
    found = keyword_statistics(bow, tokens, offsets, np.arange(150), **options)
    plain, rare = (found.targets(bow, own=0.5, prior_power=power, perplexity=2) for power in (0, 0.9))
    for targets in (plain, rare):
        sums = np.asarray(targets.sum(axis=1)).ravel()
        has_words = np.diff(bow.indptr) > 0
        np.testing.assert_allclose(sums[has_words], 1)
        assert not sums[~has_words].any()
        values = targets.data[targets.data > 0]
        assert np.exp(-(values * np.log(values)).sum() / has_words.sum()) == pytest.approx(2, rel=0.05)
    assert (rare @ found.prior).mean() < (plain @ found.prior).mean()
