"""Rows of theta and of documents.csv beside the texts that were given, for every model."""

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import planted
import pytest
from every_model import MODELS, quick_settings
from pyarrow import parquet

import topiclab
from topiclab.config.compose import compose
from topiclab.runs.run import run_cell

QUICK = [
    "model.encoder.hidden_dims=[32,32]",
    "model.min_steps=1",
    "model.init_epochs=1",
    "trainer.max_epochs=3",
]
BLANK, UNKNOWN = [3, 4], [10, 122]
COLUMNS = ["row", "id", "split", "topic", "share", "known_words", "label", "predicted", "dropped"]


def given() -> list[str]:
    """120 planted documents, between them two blank ones and two without a word of the vocabulary."""
    texts = list(planted.corpus().texts[:120])
    for place in BLANK:
        texts.insert(place, " \n")
    texts[UNKNOWN[0]] = "unheard"
    return [*texts, "zzz 7"]


def fit(texts: list[str], folder: Path, model: str = "kmeans", *overrides: str, **options):
    settings = ["embedder.dim=16", "trainer.device=cpu", f"paths.cache={folder}/cache"]
    settings += [*quick_settings(model, "planted", QUICK), *overrides]
    with contextlib.redirect_stdout(io.StringIO()):
        return topiclab.fit(texts, model, 4, overrides=settings, folder=folder, **options)


@pytest.mark.parametrize("model", MODELS)
def test_every_text_given_has_its_row(model: str, tmp_path: Path) -> None:
    texts = given()
    topics = fit(texts, tmp_path / "run", model)
    shutil.copytree(tmp_path / "run", tmp_path / "moved")
    loaded = topiclab.load(tmp_path / "moved")
    kept = [row for row in range(len(texts)) if row not in BLANK]
    for each in (topics, loaded):
        assert each.theta.shape == (len(texts), each.result.num_topics)
        assert np.isnan(each.theta[BLANK]).all()
        np.testing.assert_array_equal(each.theta[kept], each.result.theta)
        assert each.rows[BLANK].tolist() == [-1, -1]
        assert each.rows[kept].tolist() == list(range(len(kept)))
    seen = topics.transform(texts)
    np.testing.assert_allclose(seen[kept], topics.result.theta, atol=1e-5)  # LDA starts by position
    np.testing.assert_array_equal(loaded.transform(texts), seen)
    np.testing.assert_allclose(
        np.vstack([topics.transform([text]) for text in texts[:12]]), seen[:12], atol=1e-6
    )
    np.testing.assert_allclose(seen.sum(axis=1), 1, atol=1e-5)
    # a text of which nothing is read has no main topic, whatever the model
    assert (seen[BLANK + UNKNOWN] == np.float32(1 / topics.result.num_topics)).all()
    table = topics.documents().to_pydict()
    assert list(table) == COLUMNS
    assert table["row"] == list(range(len(texts)))
    assert [row for row, topic in enumerate(table["topic"]) if topic is None] == sorted(BLANK + UNKNOWN)
    assert [table["dropped"][row] for row in BLANK] == ["blank", "blank"]
    assert [table["known_words"][row] for row in UNKNOWN] == [0, 0]
    assert table["topic"][20] == topics.theta[20].argmax()


def test_vectors_place_a_document_without_known_words(tmp_path: Path) -> None:
    """A random embedder gives every text a vector; embed_text=bow leaves the empty text."""
    placed = fit(given(), tmp_path / "raw", "kmeans", "embedder=random")
    assert np.isfinite(placed.theta[UNKNOWN]).all()
    assert (placed.theta[UNKNOWN].max(axis=1) == 1).all()
    unread = fit(given(), tmp_path / "bow", "kmeans", "embedder=random", "embed_text=bow")
    assert (unread.theta[UNKNOWN] == 0.25).all()


def test_dropped_records_keep_their_line_and_reason(tmp_path: Path) -> None:
    texts = [*given(), given()[0]]
    ids = [f"=id{row}" for row in range(len(texts))]
    labels = ["@label" if row % 2 else "-1" for row in range(len(texts))]
    options = ["data.deduplicate=true", "data.sample=50"]
    topics = fit(texts, tmp_path, "kmeans", *options, ids=ids, labels=labels)
    with (tmp_path / "documents.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert list(lines[0]) == COLUMNS
    assert [int(line["row"]) for line in lines] == list(range(len(texts)))
    reasons = [line["dropped"] for line in lines]
    assert [row for row, reason in enumerate(reasons) if reason == "blank"] == BLANK
    assert reasons[-1] == "duplicate"
    assert reasons.count("not in the sample") == len(texts) - 3 - 50
    assert (topics.rows >= 0).sum() == 50
    kept = [line for line in lines if not line["dropped"]]
    assert {line["label"] for line in kept} == {"'@label", "-1"}  # a formula and a number
    assert all(line["id"] == f"'=id{line['row']}" for line in kept)
    assert all(line["split"] in ("train", "val", "test") and line["share"] in ("1.0000", "") for line in kept)
    exact = parquet.read_table(tmp_path / "documents.parquet").to_pylist()
    assert [line["id"] for line in exact if line["dropped"] is None] == list(topics.result.ids)


def test_predict_has_a_line_for_every_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = fit(given(), tmp_path / "run")
    texts = [given()[0], "", given()[20], "unheard"]
    with (tmp_path / "new.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text"], *([text] for text in texts)])
    file = ["data=file", f"data.path={tmp_path / 'new.csv'}", "data.name=new", f"run={tmp_path / 'run'}"]
    with caplog.at_level("INFO"):
        run_cell(compose(["task=predict", *file]), tmp_path / "predicted")
    assert "1 of 4 records are not among the documents: 1 blank" in caplog.text
    with (tmp_path / "predicted" / "topics.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    theta = np.load(tmp_path / "predicted" / "theta.npy")
    assert [line["row"] for line in lines] == ["0", "1", "2", "3"]
    assert [line["dropped"] for line in lines] == ["", "blank", "", ""]
    assert [line["topic"] for line in lines] == [str(theta[0].argmax()), "", str(theta[2].argmax()), ""]
    np.testing.assert_array_equal(theta[[0, 2, 3]], topics.transform([texts[0], texts[2], texts[3]]))
    assert np.isnan(theta[1]).all()
    assert (tmp_path / "predicted" / "documents.csv").is_file()


def test_a_run_without_the_table_says_so(tmp_path: Path) -> None:
    topics = fit(given(), tmp_path)
    (tmp_path / "documents.parquet").unlink()
    with pytest.raises(ValueError, match=r"no documents\.parquet"):
        _ = topics.theta


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory):
    return fit(given(), tmp_path_factory.mktemp("fitted"))


class Table:
    """A stand-in for a data frame: iterating over it gives the names of its columns."""

    columns = ("text", "label")

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"texts is a str.*\[text\]"),
        (Table(), r'df\["text"\]'),
        ({"a": "b"}, "texts is a dict"),
        (7, "texts is a int"),
        (["red", None, None], "text 1 .* is None"),
        (["red", "fox", float("nan")], "text 2 .* is nan"),
        ([b"red"], "text 0 .* a bytes"),
    ],
)
def test_texts_that_are_none_are_refused_by_place(fitted, texts, message: str) -> None:
    for call in (fitted.transform, fitted.embed, lambda texts: fit(texts, fitted.folder)):
        with pytest.raises(TypeError, match=message):
            call(texts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda vectors: vectors[:2], r"\(2, 16\), but there are 3 texts"),
        (lambda vectors: vectors[0], r"\(16,\), but there are 3 texts"),
        (lambda vectors: vectors[:, :5], "5 columns, but those of the run have 16"),
        (lambda vectors: vectors.astype(str), "dtype <U"),
        (lambda vectors: vectors * np.array([[1], [np.nan], [1]]), "of 1 texts are not finite.* text 1"),
        (lambda vectors: vectors.astype("f8") * 1e300, "not finite in float32"),
    ],
)
def test_embeddings_of_another_shape_are_refused(fitted, change, message: str) -> None:
    texts = [text for text in given()[:5] if text.strip()]
    vectors = fitted.embed(texts)
    np.testing.assert_array_equal(fitted.transform(texts, vectors.tolist()), fitted.transform(texts))
    with pytest.raises(ValueError, match=message):
        fitted.transform(texts, change(vectors))


def test_what_a_notebook_shows_is_short(fitted) -> None:
    assert len(repr(fitted)) < 300
    assert "model=kmeans, num_topics=4" in repr(fitted)
    assert {"fit", "load"} <= set(dir(topiclab))


def test_more_topics_than_different_texts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = ["garden soil tomato seed", "engine brake clutch tyre", "violin cello sonata tempo"] * 20
    split = ["data.split.val=0", "data.split.test=0", "data.vocabulary.max_df=1.0"]
    with contextlib.redirect_stdout(io.StringIO()) as screen:
        topics = topiclab.fit(
            texts, "kmeans", 10, overrides=[*split, f"paths.cache={tmp_path}/cache"], folder=tmp_path
        )
    assert "3 different texts, so at least 7 topics" in caplog.text
    assert "7 of 10 topics have no document" in caplog.text
    assert screen.getvalue().count("(no document)") == 7
    result = json.loads((tmp_path / "result.json").read_text())
    empty = topics.empty_topics
    assert result["manifest"]["empty_topics"] == empty
    assert result["manifest"]["topics_in_means"] == 3
    assert [topic for topic, words in enumerate(topics.topic_words()) if not words] == empty
    per_topic = json.loads((tmp_path / "topic_metrics.json").read_text())
    filled = [topic for topic in range(10) if topic not in empty]
    assert len(per_topic["npmi"]) == 10
    assert result["metrics"]["npmi"] == pytest.approx(np.mean([per_topic["npmi"][topic] for topic in filled]))
    words = [word for topic in filled for word in topics.topic_words()[topic]]
    assert result["metrics"]["td"] == pytest.approx(len(set(words)) / len(words))
