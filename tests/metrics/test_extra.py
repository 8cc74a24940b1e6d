"""Extra metrics: each on topics where its value is known, and why one is missing."""

from __future__ import annotations

import numpy as np
import pytest
from made_results import make_corpus, make_result
from sklearn.linear_model import LogisticRegression

from topiclab.config.compose import ConfigError, compose
from topiclab.config.configuration import Configuration
from topiclab.config.identity import changed_keys
from topiclab.metrics.evaluate import METRICS, NAMES, evaluate
from topiclab.metrics.extra import EXTRA_METRICS, Extras
from topiclab.metrics.intrusion import model_precision
from topiclab.metrics.probe import linear_probe, majority
from topiclab.metrics.undefined import UndefinedMetric

ALL = tuple(EXTRA_METRICS)


def test_intruders_are_found_by_what_goes_together() -> None:
    beta = np.kron(np.eye(3), np.full((1, 6), 1 / 6))
    ranked = np.arange(18).reshape(3, 6)
    together = np.kron(np.eye(3), np.ones((6, 6)))
    assert model_precision(beta, ranked, together).tolist() == [1, 1, 1]
    assert model_precision(beta, ranked, 1 - together).tolist() == [0, 0, 0]
    noise = np.random.default_rng(0).normal(size=(18, 18))
    chance = np.mean([model_precision(beta, ranked, noise + noise.T, seed) for seed in range(50)])
    assert 0.02 < chance < 0.4
    with pytest.raises(UndefinedMetric, match="only one topic"):
        model_precision(beta[:1], ranked[:1], together)
    with pytest.raises(UndefinedMetric, match="reads 5 words"):
        model_precision(beta, ranked[:, :4], together)


def test_a_probe_learns_from_training_documents_alone() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    features = np.eye(3)[labels] + rng.normal(0, 0.3, (300, 3))
    train, test = np.arange(200), np.arange(200, 300)
    labels[:40] = -1
    found = linear_probe(features, labels, train, test)
    assert found.accuracy > 0.9
    scaled = (features - features[40:200].mean(0)) / features[40:200].std(0)
    theirs = LogisticRegression().fit(scaled[40:200], labels[40:200]).score(scaled[test], labels[test])
    assert found.accuracy == pytest.approx(theirs, abs=0.02)
    assert found.macro_f1 == pytest.approx(found.accuracy, abs=0.05)
    share = np.mean(labels[test] == np.bincount(labels[40:200]).argmax())
    assert majority(labels, train, test) == pytest.approx(share)
    with pytest.raises(UndefinedMetric, match="at least two labels"):
        linear_probe(features, np.where(np.arange(300) < 200, 0, labels), train, test)


def test_extras_are_measured_where_they_are_asked_for() -> None:
    corpus, result = make_corpus(), make_result()
    words = np.tile([[1.0, 0.0]], (corpus.num_words, 1))
    words[np.asarray(result.top_words)[0, :10]] = [0.0, 1.0]
    found = evaluate(result, corpus, extras=Extras(ALL, None, lambda: words))
    names = [name for metrics in EXTRA_METRICS.values() for name in metrics]
    assert tuple(found.metrics) == (*METRICS, *names)
    assert not {name for name in names if name in found.reasons}
    assert found.per_topic["embedding_coherence"][0] == pytest.approx(1)
    assert all(value < 1.0001 for value in found.per_topic["embedding_coherence"])
    assert 0 < found.metrics["test/km_purity"] <= 1
    assert set(names) <= set(NAMES)
    assert tuple(evaluate(result, corpus).metrics) == METRICS


def test_an_extra_that_cannot_be_measured_says_why() -> None:
    def no_words() -> np.ndarray:
        raise ValueError("this embedder reads no words")

    corpus, result = make_corpus(has_labels=False), make_result()
    reasons = evaluate(result, corpus, extras=Extras(ALL, None, no_words)).reasons
    assert reasons["embedding_coherence"] == "this embedder reads no words"
    assert {reasons[name] for name in ("test/km_nmi", "test/accuracy_theta")} == {"the corpus has no labels"}
    predicted = evaluate(result, make_corpus(), predictions=np.zeros(80, int)).reasons
    assert predicted["test/accuracy_vectors"] == "the model reads no vectors"
    reasons = evaluate(result, corpus, extras=Extras(ALL)).reasons
    assert "no vectors of words" in reasons["embedding_coherence"]


def test_words_per_topic_are_an_option() -> None:
    corpus, result = make_corpus(), make_result()
    assert evaluate(result, corpus, top_n=3).metrics["td"] >= evaluate(result, corpus, top_n=20).metrics["td"]
    cfg = compose(["metrics.num_words=15", "metrics.extra=[probe]"])
    assert Configuration.of(cfg).plain()["metrics"] == {"num_words": 15, "extra": ["probe"]}
    for fault in ("metrics.num_words=1", "metrics.num_words=101", "metrics.extra=[probes]"):
        with pytest.raises(ConfigError, match="is refused"):
            compose([fault])


def test_runs_without_the_group_are_the_same_cells() -> None:
    now = compose()
    before = {key: value for key, value in now.items() if key not in ("metrics", "optimized_metric")}
    assert changed_keys(before, now) == []
    assert Configuration.of(before).metrics.num_words == 10
    assert changed_keys(before, compose(["metrics.num_words=15"]))
