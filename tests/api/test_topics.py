"""The Python API and task=predict: the same model and numbers as the written run."""

import csv

import numpy as np
import planted
import pytest

import topiclab
from topiclab.config.compose import ConfigError, compose
from topiclab.runs.run import run_cell

SMALL = ["model.encoder.hidden_dims=[32,32]", "trainer.max_epochs=20", "embedder.dim=16"]


def fit(folder, labels=None, overrides=()):
    texts = planted.corpus().texts
    return topiclab.fit(texts, num_topics=5, labels=labels, overrides=[*SMALL, *overrides], folder=folder)


@pytest.fixture(scope="module")
def supervised(tmp_path_factory):
    overrides = ["mode=supervised", "trainer.max_epochs=60"]
    return fit(tmp_path_factory.mktemp("supervised"), planted.corpus().labels, overrides)


def test_transform_of_the_same_texts_is_the_result(supervised):
    np.testing.assert_allclose(
        supervised.transform(planted.corpus().texts), supervised.result.theta, atol=1e-5
    )
    assert supervised.result.ids == planted.corpus().ids
    assert planted.recovery(supervised.result) >= 0.7


def test_a_loaded_run_is_the_fitted_one(supervised):
    loaded = topiclab.load(supervised.folder)
    texts = planted.corpus().texts[:20]
    np.testing.assert_array_equal(loaded.transform(texts), supervised.transform(texts))
    assert loaded.predict(texts) == supervised.predict(texts)
    assert loaded.metrics == supervised.metrics
    assert loaded.topic_words(3) == supervised.topic_words(3)


def test_a_folder_with_another_run_is_told_as_an_argument(supervised):
    with pytest.raises(ConfigError, match="give fit another folder=") as raised:
        fit(supervised.folder, planted.corpus().labels, ["mode=supervised", "trainer.max_epochs=61"])
    assert "name=" not in str(raised.value)


def test_labels_are_predicted_only_by_a_supervised_run(supervised, tmp_path):
    truth = [str(label) for label in planted.corpus().labels]
    hits = np.array(supervised.predict(planted.corpus().texts)) == truth
    assert hits[planted.corpus().rows("test")].mean() > 0.7
    with pytest.raises(ValueError, match="mode=supervised"):
        fit(tmp_path).predict(["some text"])


@pytest.mark.parametrize("mode", ["zero_shot", "unsupervised"])
def test_labels_do_not_change_a_fit_without_supervision(mode, tmp_path):
    labels = planted.corpus().labels
    shuffled = np.random.default_rng(0).permutation(labels)
    fits = [
        fit(tmp_path / str(run), given, [f"mode={mode}"])
        for run, given in enumerate((labels, shuffled, None))
    ]
    for other in fits[1:]:
        assert np.array_equal(fits[0].result.theta, other.result.theta)
        assert np.array_equal(fits[0].result.beta, other.result.beta)
    assert fits[0].metrics["train/purity"] > 0.8 > fits[1].metrics["train/purity"]


def test_settings_of_the_corpus_are_followed(tmp_path):
    texts = [*planted.corpus().texts[:100], *planted.corpus().texts[:10]]
    overrides = [*SMALL, "data.deduplicate=true", "data.sample=60"]
    assert len(topiclab.fit(texts, num_topics=5, overrides=overrides, folder=tmp_path).result.theta) == 60


def test_unseen_texts_are_read_as_the_corpus_was(tmp_path):
    texts = [f"{text} and 7 more, {row}" for row, text in enumerate(planted.corpus().texts)]
    overrides = [*SMALL, "trainer.max_epochs=2", "data.vocabulary.size=60", "embed_text=bow"]
    topics = topiclab.fit(texts, num_topics=5, embedder="random", overrides=overrides, folder=tmp_path)
    np.testing.assert_allclose(topiclab.load(tmp_path).transform(texts), topics.result.theta, atol=1e-5)
    known = [" ".join(word for word in text.split() if word in topics.result.vocab) for text in texts]
    np.testing.assert_array_equal(topics.embed(texts), topics.embedder.encode(known))
    assert not np.allclose(topics.embed(texts), topics.embedder.encode(texts), atol=0.01)


@pytest.mark.parametrize("num_docs", [1, 30])
def test_predict_task_reads_documents_of_any_number(supervised, num_docs, tmp_path):
    texts = planted.corpus().texts[:num_docs]
    path = tmp_path / "new.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "text"], *enumerate(texts)])
    new = ["task=predict", "data=file", f"data.path={path}", "data.id_column=id", f"run={supervised.folder}"]
    folder = tmp_path / "predicted"
    assert run_cell(compose(new), folder)["status"] == "done"
    with (folder / "topics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    theta = supervised.transform(texts)
    np.testing.assert_allclose(np.load(folder / "theta.npy"), theta, atol=1e-6)
    assert [int(row["topic"]) for row in rows] == theta.argmax(1).tolist()
    assert [row["predicted"] for row in rows] == supervised.predict(texts)
