"""Window counts against brute force, coherence against gensim."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from brute_force import brute_force
from gensim.corpora import Dictionary
from gensim.models.coherencemodel import CoherenceModel
from gensim.test.utils import datapath
from gensim.utils import simple_preprocess
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from topiclab.data.corpus import Corpus
from topiclab.metrics import coherence
from topiclab.metrics import cooccurrence as counting
from topiclab.metrics.cooccurrence import cooccurrence
from topiclab.metrics.undefined import UndefinedMetric


def make_corpus(documents, vocab=None) -> Corpus:
    """Make a corpus of token lists; tokens outside vocab keep their place."""
    counts = Counter(word for words in documents for word in words)
    vocab = tuple(sorted(counts, key=lambda word: (-counts[word], word)) if vocab is None else vocab)
    index = {word: place for place, word in enumerate(vocab)}
    ids = [[index.get(word, -1) for word in words] for words in documents]
    rows = np.repeat(np.arange(len(documents)), [len(words) for words in ids])
    tokens = np.array([word for words in ids for word in words], dtype=np.int32)
    known = tokens >= 0
    ones = np.ones(known.sum(), dtype=np.int32)
    bow = sparse.csr_matrix((ones, (rows[known], tokens[known])), shape=(len(documents), len(vocab)))
    return Corpus(
        name="made",
        ids=tuple(str(row) for row in range(len(documents))),
        texts=tuple(" ".join(words) for words in documents),
        vocab=vocab,
        bow=bow,
        token_ids=tokens,
        token_offsets=np.cumsum([0, *map(len, ids)], dtype=np.int64),
        split=np.zeros(len(documents), dtype=np.int8),
    )


def from_gensim(measure, topics, documents, dictionary):
    model = CoherenceModel(
        topics=topics, texts=documents, dictionary=dictionary, coherence=measure, processes=1
    )
    return np.array(model.get_coherence_per_topic())


@pytest.fixture(scope="module")
def lee():
    lines = Path(datapath("lee_background.cor")).read_text(encoding="utf-8").splitlines()
    return [simple_preprocess(line) for line in lines]


@pytest.fixture(scope="module")
def frequent(lee):
    return tuple(word for word, _ in Counter(word for words in lee for word in words).most_common(400))


@pytest.fixture(scope="module")
def lee_topics(frequent):
    rng = np.random.default_rng(0)
    return [[frequent[place] for place in rng.choice(400, 10, replace=False)] for _ in range(12)]


@pytest.mark.parametrize("variant", ["exact", "gensim"])
@given(
    documents=st.lists(st.lists(st.sampled_from("abcd_"), max_size=14), min_size=1, max_size=4),
    window=st.integers(1, 16),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_counts_equal_those_of_every_window(variant, documents, window):
    counts = cooccurrence(make_corpus(documents, "abcd"), window, variant)
    pairs, num_windows = brute_force(documents, "abcd", window, variant)
    assert counts.num_windows == num_windows
    np.testing.assert_array_equal(counts.pair_counts, pairs)
    np.testing.assert_array_equal(counts.word_counts, np.diag(pairs))


@given(documents=st.lists(st.lists(st.sampled_from("abcd_"), max_size=6), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_whole_documents_are_windows_without_end(documents):
    corpus = make_corpus(documents, "abcd")
    whole, wide = cooccurrence(corpus, None, "gensim"), cooccurrence(corpus, 100)
    assert (whole.variant, whole.num_windows) == ("exact", len(documents))
    np.testing.assert_array_equal(whole.pair_counts, wide.pair_counts)


@pytest.mark.parametrize(("measure", "ours"), [("c_npmi", "npmi"), ("c_v", "c_v"), ("u_mass", "umass")])
def test_gensim_variant_equals_gensim(lee, frequent, lee_topics, measure, ours):
    counts = cooccurrence(make_corpus([*lee, []], frequent), coherence.WINDOWS[ours], "gensim")
    values = getattr(coherence, ours)(lee_topics, counts)
    expected = from_gensim(measure, lee_topics, [*lee, []], Dictionary(lee))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)


def test_the_table_holds_the_npmi_of_every_pair(lee, frequent, lee_topics):
    counts = cooccurrence(make_corpus(lee, frequent), 10)
    table, topics = coherence.npmi_table(counts), counts.ids(lee_topics)
    above = np.triu_indices(10, 1)
    means = [table[np.ix_(words, words)][above].mean() for words in topics]
    np.testing.assert_allclose(means, coherence.npmi(lee_topics, counts), rtol=0, atol=1e-6)


def test_exact_counts_find_words_that_gensim_forgets(lee, frequent, lee_topics):
    exact, gensim = (cooccurrence(make_corpus(lee, frequent), 10, variant) for variant in ("exact", "gensim"))
    assert (exact.pair_counts >= gensim.pair_counts).all()
    difference = coherence.npmi(lee_topics, exact) - coherence.npmi(lee_topics, gensim)
    assert np.abs(difference).max() > 1e-3


def test_order_of_documents_and_of_vocabulary_changes_nothing(lee, frequent, lee_topics):
    corpus = make_corpus(lee, frequent)
    turned = make_corpus(lee[::-1], corpus.vocab[::-1])
    for name, window in coherence.WINDOWS.items():
        values = [
            getattr(coherence, name)(lee_topics, cooccurrence(each, window)) for each in (corpus, turned)
        ]
        np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1e-12)


def test_large_vocabulary_is_counted_for_the_requested_words(lee, frequent, lee_topics, monkeypatch):
    full = cooccurrence(make_corpus(lee, frequent), 10)
    monkeypatch.setattr(counting, "MAX_DENSE_WORDS", 100)
    words = {word for words in lee_topics for word in words}
    part = cooccurrence(make_corpus(lee, frequent), 10, words=words)
    assert set(part.vocab) == words
    values = [coherence.npmi(lee_topics, counts) for counts in (part, full)]
    np.testing.assert_allclose(*values, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="pass words="):
        cooccurrence(make_corpus(lee, frequent), 10)


def test_counts_are_taken_once_per_corpus_and_once_per_cache(lee, frequent, tmp_path, monkeypatch):
    corpus = make_corpus(lee, frequent)
    first = cooccurrence(corpus, 10, cache_root=tmp_path)
    assert cooccurrence(corpus, 10) is first
    monkeypatch.setattr(counting, "_count", lambda *_: pytest.fail("counted again"))
    kept = cooccurrence(make_corpus(lee, frequent), 10, cache_root=tmp_path)
    np.testing.assert_array_equal(kept.pair_counts, first.pair_counts)
    assert kept.num_windows == first.num_windows


def test_token_order_is_part_of_the_cache_key(tmp_path):
    documents = [["a", "b", "c", "d"], ["a", "c"]]
    counts = cooccurrence(make_corpus(documents), 2, cache_root=tmp_path)
    moved = make_corpus(documents)
    moved.token_ids[:4] = moved.token_ids[[0, 2, 1, 3]]
    assert (cooccurrence(moved, 2, cache_root=tmp_path).pair_counts != counts.pair_counts).any()


def test_words_of_a_pair_that_always_or_never_meets():
    documents = [["a", "b", "x"]] * 3 + [["c", "x"]] * 3 + [["x", "y"]] * 6
    counts = cooccurrence(make_corpus(documents), 10)
    always, never = coherence.npmi([["a", "b"], ["a", "c"]], counts)
    assert always == pytest.approx(1, abs=1e-9)
    assert never == pytest.approx(np.log(1e-12 * 16) / -np.log(1e-12))


def test_absent_words_make_only_their_topic_nan():
    counts = cooccurrence(make_corpus([["a", "b", "c"], ["a", "c"]], "abcz"), 10)
    values = coherence.c_v([["a", "b"], ["a", "z"], ["b", "unknown"]], counts)
    np.testing.assert_array_equal(np.isnan(values), [False, True, True])
    assert counts.absent([["a", "z"], ["b", "unknown"]]) == ["unknown", "z"]
    with pytest.raises(UndefinedMetric, match="no word"):
        coherence.c_v([["z", "unknown"]], counts)


@pytest.mark.parametrize(("window", "variant"), [(0, "exact"), (10, "palmetto")])
def test_unknown_windows_are_refused(window, variant):
    with pytest.raises(ValueError, match="expected tokens >= 1"):
        cooccurrence(make_corpus([["a"]]), window, variant)
