"""Diversity, clustering and perplexity against hand examples, and the list of metric names."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import NUM_TOPICS, NUM_WORDS, VOCAB, FixedRater, make_corpus, make_result
from sklearn import metrics as sklearn_metrics

from topiclab.metrics import clustering, diversity, quality
from topiclab.metrics.cooccurrence import cooccurrence
from topiclab.metrics.evaluate import LABEL_BASELINES, METRICS, Extras, evaluate
from topiclab.metrics.perplexity import perplexity
from topiclab.metrics.readout import rank_by_usage
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.result import TopicResult, empty_topics, main_topics, rank_words


def test_topic_diversity_by_hand():
    assert diversity.topic_diversity([["a", "b"], ["a", "c"]]) == 3 / 4
    assert diversity.topic_diversity([["a", "b"], ["c", "d"]]) == 1


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("abc", "abc", 1.0),
        ("abc", "xyz", 0.0),
        # agreement 0, 1, 2/3 at depths 1, 2, 3
        ("abx", "bay", 0.1 / 0.9 * (1 * 0.9**2 + 2 / 3 * 0.9**3) + 2 / 3 * 0.9**3),
        # agreement 1, 1/2, 1/3
        ("abc", "axy", 0.1 / 0.9 * (0.9 + 0.5 * 0.9**2 + 0.9**3 / 3) + 0.9**3 / 3),
    ],
)
def test_inverted_rbo_by_hand(first, second, overlap):
    assert diversity.inverted_rbo([list(first), list(second)]) == pytest.approx(1 - overlap, abs=1e-7)


@given(st.lists(st.permutations("abcdefgh"), min_size=2, max_size=6), st.floats(0.1, 0.99))
def test_inverted_rbo_is_the_mean_over_pairs_by_the_definition(topics, p):
    topics = [list(words)[:5] for words in topics]
    overlaps = []
    for number, first in enumerate(topics):
        for second in topics[:number]:
            shares = [len({*first[:depth]} & {*second[:depth]}) / depth for depth in range(1, 6)]
            tail = sum(share * p**depth for depth, share in enumerate(shares, 1)) * (1 - p) / p
            overlaps.append(tail + shares[-1] * p**5)
    assert diversity.inverted_rbo(topics, p) == pytest.approx(1 - np.mean(overlaps), abs=1e-6)


def test_exclusivity_by_hand():
    beta = np.array([[0.6, 0.4, 0.0], [0.2, 0.0, 0.8]])
    np.testing.assert_allclose(diversity.exclusivity(beta, np.array([[0, 1], [2, 0]])), [0.875, 0.625])


@pytest.mark.parametrize(
    ("npmi", "places", "mean", "share"),
    [
        ([0.1, 0.4, 0.3, 0.2], [1, 2], 0.35, 3 / 4),
        ([0.1, 0.5, 0.3, 0.2, -0.9], [1, 2], 0.4, 3 / 4),  # the best two of five
        ([0.1, 0.2, 0.2], [1], 0.2, 1.0),  # the earlier of equals
        ([-0.3, -0.2], [1], -0.2, 1.0),
    ],
)
def test_the_better_half_by_hand(npmi, places, mean, share):
    topics = [["a", "b"], ["c", "d"], ["c", "e"], ["f", "g"], ["h", "i"]][: len(npmi)]
    assert quality.best_half(np.array(npmi)).tolist() == places
    assert quality.half_npmi(np.array(npmi)) == pytest.approx(mean)
    assert quality.half_diversity(np.array(npmi), topics) == share


def test_topic_quality_is_coherence_times_diversity():
    found = evaluate(make_result(num_topics=5), make_corpus())
    values, best = found.metrics, sorted(found.per_topic["npmi"])[-2:]
    assert values["tq"] == pytest.approx(values["npmi"] * values["td25"])
    assert values["npmi_top50"] == pytest.approx(np.mean(best))
    assert values["tq_top50"] == pytest.approx(values["npmi_top50"] * values["td25_top50"])
    assert values["td25_top50"] > values["td25"]


def test_frex_by_hand():
    beta = np.array([[0.5, 0.3, 0.2, 0.0], [0.5, 0.1, 0.0, 0.4]])
    # topic 0: shares .5 .75 1 0 rank 2/4 3/4 4/4 1/4; frequencies rank 4/4 3/4 2/4 1/4
    expected = [(1 / (0.5 / 0.5 + 0.5 / 1) + 0.75) / 2, 1 / (0.5 / 0.75 + 0.5 / 1)]
    np.testing.assert_allclose(diversity.frex(beta, np.array([[0, 1], [0, 0]]))[:1], expected[:1])
    heavier = diversity.frex(beta, np.array([[2], [2]]), weight=0.9)
    np.testing.assert_allclose(heavier[0], 1 / (0.9 / 1 + 0.1 / 0.5))
    np.testing.assert_allclose(diversity.frex(beta, np.array([[0], [0]]))[1], expected[1])


def test_frex_counts_equal_scores_as_no_higher():
    np.testing.assert_allclose(diversity.frex(np.full((2, 5), 0.2), np.array([[0], [3]])), 1)


def test_clustering_by_hand():
    labels, topics = np.array([0, 0, 1, 1, 1, -1]), np.array([5, 5, 5, 2, 2, 2])
    assert clustering.purity(labels, topics) == 4 / 5
    assert clustering.inverse_purity(labels, topics) == 4 / 5
    assert clustering.inverse_purity(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2])) == 2 / 4
    assert clustering.purity_f(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2])) == pytest.approx(3 / 5)
    assert clustering.topics_used(topics) == 2
    predictions = np.array([0, 1, 1, 1, 1, 0])
    assert clustering.accuracy(labels, predictions) == 4 / 5
    assert clustering.macro_f1(labels, predictions) == pytest.approx((2 / 3 + 6 / 7) / 2)


@pytest.mark.parametrize("num_topics", [1, 3, 40])
def test_clustering_equals_scikit_learn(num_topics):
    rng = np.random.default_rng(num_topics)
    labels, topics = rng.integers(-1, 5, 200), rng.integers(0, num_topics, 200)
    kept = labels >= 0
    by_topic = [np.bincount(labels[kept & (topics == topic)]).max() for topic in np.unique(topics[kept])]
    assert clustering.purity(labels, topics) == sum(by_topic) / kept.sum()
    for ours, theirs in (
        (clustering.normalized_mutual_information, sklearn_metrics.normalized_mutual_info_score),
        (clustering.adjusted_rand_index, sklearn_metrics.adjusted_rand_score),
    ):
        assert ours(labels, topics) == theirs(labels[kept], topics[kept])
        renamed = rng.permutation(num_topics)[topics]
        assert ours(labels, renamed) == pytest.approx(theirs(labels[kept], topics[kept]))


def test_perplexity_of_the_uniform_model_is_the_size_of_the_vocabulary():
    lengths = np.array([3, 0, 10])
    assert perplexity(lengths * math.log(500), lengths) == pytest.approx(500)
    with pytest.raises(UndefinedMetric, match="no word"):
        perplexity(np.zeros(2), np.zeros(2, dtype=int))


def test_evaluate_gives_every_metric_with_a_value():
    corpus = make_corpus()
    nll = np.full(80, 12 * math.log(NUM_WORDS))
    external = {window: cooccurrence(corpus, window) for window in (10, 110)}
    result, predictions = make_result(word_nll=nll), np.arange(80) % 4 - 1
    extras = Extras(vectors=np.random.default_rng(0).normal(size=(80, 3)))
    found = evaluate(
        result, corpus, predictions=predictions, external=external, rater=FixedRater(), extras=extras
    )
    assert tuple(found.metrics) == (*METRICS, *LABEL_BASELINES)
    assert found.reasons == {}
    assert all(type(value) is float and math.isfinite(value) for value in found.metrics.values())
    coherences = {"npmi", "c_v", "umass", "npmi_gensim", "c_v_gensim", "npmi_ref", "c_v_ref"}
    coherences |= {"npmi_usage", "npmi_beta"}
    assert found.per_topic.keys() == coherences | {"frex", "exclusivity", "llm_rating"}
    assert {len(values) for values in found.per_topic.values()} == {NUM_TOPICS}
    assert found.metrics["npmi"] == pytest.approx(np.mean(found.per_topic["npmi"]))
    assert found.metrics["train/perplexity"] == pytest.approx(NUM_WORDS)
    assert found.metrics["test/accuracy"] == found.metrics["train/macro_f1"] == 1


def test_splits_are_measured_apart():
    corpus, result = make_corpus(), make_result(word_nll=np.where(np.arange(80) < 60, 12.0, 24.0))
    found = evaluate(result, corpus).metrics
    assert found["train/perplexity"] == pytest.approx(math.e)
    assert found["test/perplexity"] == pytest.approx(math.e**2)
    assert corpus.labels is not None
    assert found["test/purity"] == clustering.purity(corpus.labels[60:], result.theta[60:].argmax(axis=1))


def test_every_missing_value_has_a_reason():
    found = evaluate(make_result(num_topics=1, num_docs=60), make_corpus(has_labels=False, num_docs=60))
    missing = {name for name, value in found.metrics.items() if math.isnan(value)}
    assert missing == set(found.reasons)
    assert missing == set(METRICS) - {
        "npmi",
        "c_v",
        "umass",
        "npmi_gensim",
        "c_v_gensim",
        "npmi_usage",
        "npmi_beta",
        "td_usage",
        "td_beta",
        "td",
        "td25",
        "tq",
        "train/topics_used",
    }
    for name, reason in {
        "irbo": "only one topic",
        "frex": "only one topic",
        "npmi_top50": "only one topic",
        "td25_top50": "only one topic",
        "tq_top50": "only one topic",
        "train/nmi": "no labels",
        "train/perplexity": "word likelihood",
        "test/topics_used": "no documents",
    }.items():
        assert reason in found.reasons[name]


def test_one_label_and_short_rankings_are_reasons():
    corpus = make_corpus()
    assert corpus.labels is not None
    corpus.labels[:] = 3
    ranked = np.tile(np.arange(12, dtype=np.int32), (NUM_TOPICS, 1))
    reasons = evaluate(make_result(top_words=ranked), corpus).reasons
    assert "two labels; there is 1" in reasons["train/purity"]
    assert "does not predict labels" in reasons["test/accuracy"]
    assert "ranks 12 words per topic, but 25" in reasons["td25"]


def test_topic_words_are_those_of_the_result_not_of_beta():
    ranked = np.tile(np.arange(25, dtype=np.int32), (NUM_TOPICS, 1))
    found = evaluate(make_result(top_words=ranked), make_corpus())
    assert found.metrics["td"] == found.metrics["td25"] == 1 / NUM_TOPICS
    assert found.metrics["irbo"] == pytest.approx(0, abs=1e-7)
    assert len(set(found.per_topic["npmi"])) == 1


def test_words_of_another_reference_are_matched_by_name():
    corpus, result = make_corpus(), make_result()
    turned = make_corpus(vocab=VOCAB[::-1])  # equal counts under other names
    renamed = TopicResult(result.theta, result.beta[:, ::-1], VOCAB[::-1])
    other = evaluate(result, corpus, reference=turned).metrics
    own = evaluate(renamed, turned).metrics
    assert other["c_v"] == pytest.approx(own["c_v"])
    assert other["c_v"] != pytest.approx(evaluate(result, corpus).metrics["c_v"])


def test_read_outs_are_the_same_for_every_model_and_beside_its_own():
    corpus, result = make_corpus(), make_result()
    by_beta = evaluate(result, corpus).metrics
    assert (by_beta["npmi"], by_beta["td"]) == (by_beta["npmi_beta"], by_beta["td_beta"])
    train = corpus.split == 0
    words = rank_by_usage(result.theta[train], corpus.bow[train], smoothing=5)
    by_usage = evaluate(make_result(top_words=rank_words(words)), corpus).metrics
    assert (by_usage["npmi"], by_usage["td"]) == (by_usage["npmi_usage"], by_usage["td_usage"])
    assert by_usage["npmi"] != pytest.approx(by_beta["npmi"])
    same = [f"{name}_{kind}" for name in ("npmi", "td") for kind in ("usage", "beta")]
    assert [by_usage[name] for name in same] == [by_beta[name] for name in same]


def test_reference_counts_serve_the_metrics_of_their_window():
    corpus, result = make_corpus(), make_result()
    found = evaluate(result, corpus, reference=cooccurrence(corpus, 10))
    assert found.metrics["npmi"] == evaluate(result, corpus).metrics["npmi"]
    assert "not exact over 110" in found.reasons["c_v"]
    assert "not gensim over 10" in found.reasons["npmi_gensim"]


def test_words_absent_from_the_reference_are_named():
    result = make_result()
    word = result.topic_words(10)[0][0]
    vocab = tuple("other" if each == word else each for each in VOCAB)
    found = evaluate(result, make_corpus(), reference=make_corpus(vocab=vocab))
    assert math.isnan(found.metrics["npmi"])
    assert f"1 top words: {word}" in found.reasons["npmi"]
    assert math.isnan(found.per_topic["npmi"][0])
    assert not all(math.isnan(value) for value in found.per_topic["npmi"])
    assert word in found.reasons["tq_top50"]
    assert "tq" not in found.per_topic


def test_results_of_another_corpus_are_refused():
    with pytest.raises(ValueError, match="theta has 79 rows, but the corpus 'made' has 80"):
        evaluate(make_result(num_docs=79), make_corpus())
    with pytest.raises(ValueError, match="predictions has 5 rows"):
        evaluate(make_result(), make_corpus(), predictions=np.zeros(5))


def with_an_empty_topic() -> TopicResult:
    """Five topics, the third a copy of the first that no document has."""
    full = make_result(num_topics=4)
    theta = np.insert(full.theta, 2, 0, axis=1)
    return TopicResult(theta, np.insert(full.beta, 2, full.beta[0], axis=0), full.vocab)


def test_empty_topics_are_left_out_of_means():
    result = with_an_empty_topic()
    assert result.empty_topics == [2]
    found, filled = evaluate(result, make_corpus()), evaluate(make_result(num_topics=4), make_corpus())
    for name in ("npmi", "c_v", "umass", "td", "td25", "irbo", "tq", "npmi_top50", "frex", "exclusivity"):
        assert found.metrics[name] == pytest.approx(filled.metrics[name], abs=1e-6), name
    assert len(found.per_topic["npmi"]) == 5
    assert found.metrics["npmi"] != pytest.approx(np.mean(found.per_topic["npmi"]), abs=1e-4)


def test_a_topic_with_mass_or_a_document_is_not_empty():
    theta = np.full((30, 3), [0.9, 0.1, 0], np.float32)
    assert empty_topics(theta) == [2]  # 3 documents' worth of mass, though nobody's main topic
    theta[4] = [0, 0, 1]
    assert empty_topics(theta) == []
    theta[4] = 1 / 3
    assert empty_topics(theta) == [2]  # a document of which nothing was read fills no topic
    assert main_topics(theta)[[3, 4]].tolist() == [0, -1]
    assert empty_topics(np.full((4, 3), 1 / 3, np.float32)) == []
    assert main_topics(np.ones((4, 1), np.float32)).tolist() == [0] * 4
