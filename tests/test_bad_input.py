"""Input that is too small, damaged or wrong is refused with a way out."""

import json

import numpy as np
import pytest
from embedding_corpus import embedding_corpus
from every_model import MODELS, options_of
from small_cells import CORPUS, NO_SPLIT, cell, check_failure, configuration

import topiclab
from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.config.declared import uses
from topiclab.models.kmeans import KMeans
from topiclab.pipeline import inputs
from topiclab.result import TopicResult
from topiclab.runs.run import CellFailed, run_cell


@pytest.fixture(autouse=True)
def _chdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# Too few documents, topics, words or labels.


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "ignore:Maximum number of iterations")
@pytest.mark.parametrize(("num_docs", "patience"), [(2, "1"), (3, "null"), (10, "1")])
@pytest.mark.parametrize("model", [name for name in MODELS if name != "bertopic"])
def test_a_handful_of_documents_is_fitted_without_validation_and_test(model, num_docs, patience, tmp_path):
    few = [f"data.planted.num_docs={num_docs}", "embedder=random"]
    if "epochs" in uses(configuration(model=model)["model"]):
        few.append(f"trainer.patience={patience}")
    result = cell(tmp_path / "run", *few, *NO_SPLIT, model=model)
    assert result["reasons"]["test/nmi"] == "the split has no documents"
    theta = TopicResult.load(tmp_path / "run" / "topics.npz").theta
    finds = options_of(model).get("finds_num_topics", False)
    assert theta.shape == (num_docs, 2) or (finds and theta.shape == (num_docs, 1))


def test_patience_without_validation_documents_is_told(tmp_path, caplog):
    cell(tmp_path / "run", *NO_SPLIT, "trainer.patience=1", model="theta")
    assert "trainer.patience=1 needs validation documents, but synthetic has none" in caplog.text
    caplog.clear()
    cell(tmp_path / "other", "trainer.patience=1", model="theta")
    assert "trainer.patience" not in caplog.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.planted.num_docs=1"], r"1 usable documents \(1 read.*at least 2; give more texts"),
        (["num_topics=50"], r"num_topics=50, but synthetic has \d\d training documents; ask for fewer"),
        (["data.planted.num_docs=2"], "nothing distinguishes the texts; give more documents"),
        (
            ["model=nmf", "num_topics=8", "data.vocabulary.size=5"],
            "num_topics=8.*at most 5 in .* ask for fewer",
        ),
        (["data.vocabulary.min_df=41"], r"vocabulary has 0 words.*lower data\.vocabulary\.min_df"),
    ],
)
def test_what_is_too_little_is_said_with_the_way_out(overrides, message, tmp_path):
    check_failure(tmp_path / "run", message, *overrides)


@pytest.mark.parametrize(
    ("model", "overrides", "message"),
    [
        ("bertopic", ["data.planted.num_docs=8"], r"6 training documents, .* needs more than 6; give more"),
        ("bertopic", ["model.min_cluster_size=32"], r"needs more than 32; give more, or lower model\.min_cl"),
        ("bertopic", ["model.min_cluster_size=30"], r"found no cluster among 31 .* lower model\.min_cl"),
        (
            "bertopic",
            ["num_topics=1", "model.outliers=own_topic"],
            r"no topic for the other documents.*ask for 2, or use model\.outliers=reassign",
        ),
        ("theta", ["trainer.batch_size=1"], r"batches of one.*raise trainer\.batch_size"),
        ("prodlda", ["trainer.batch_size=1"], r"batches of one.*raise trainer\.batch_size"),
        ("prodlda", ["num_topics=1"], r"which is 0 for num_topics=1.*model\.prior_variance=1\.0"),
        (
            "theta",
            ["mode=supervised", "data.planted.num_topics=1"],
            "at least two labels, but synthetic has fewer; name data.label_column or use mode=zero_shot",
        ),
    ],
)
def test_a_model_says_what_it_cannot_learn_from(model, overrides, message, tmp_path):
    check_failure(tmp_path / "run", message, *overrides, model=model)


@pytest.mark.parametrize(
    "model",  # a prior_variance of null is none for one topic
    [name for name in MODELS if options_of(name).get("prior_variance", 1) is not None],
)
def test_one_topic_is_the_corpus(model, tmp_path):
    cell(tmp_path / "run", "num_topics=1", model=model)
    assert (TopicResult.load(tmp_path / "run" / "topics.npz").theta == 1).all()


def test_training_rows_must_be_two_and_hold_words():
    with pytest.raises(ValueError, match=r"1 training document of 2.*data\.split\.val=0"):
        inputs.check_sizes(1, embedding_corpus(["one", "two"], num_train=1))
    with pytest.raises(ValueError, match="no training document of test holds a word"):
        inputs.check_sizes(2, embedding_corpus(["one", "two"]))


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        ([], {}, ValueError, "0 usable documents.*give more texts"),
        (["only one text here"], {}, ValueError, "1 usable documents.*give more texts"),
        (["", " \n", "\t"], {}, ValueError, "3 blank"),
        (["red fox", "red hen", None], {}, TypeError, 'replace missing texts by ""'),
        ("one string", {}, TypeError, "not a sequence of strings"),
        (
            ["red fox runs", "red hen sits", "blue fox sits"],
            {"num_topics": 9},
            CellFailed,
            "num_topics=9, but texts has",
        ),
        (["red fox", "red hen"], {"labels": ["a"]}, ValueError, "2 texts but 1 labels"),
    ],
)
def test_texts_from_python_that_are_no_corpus(texts, options, error, message):
    overrides = [*CORPUS[2:], "paths.cache=cache"]
    with pytest.raises(error, match=message):
        topiclab.fit(texts, "kmeans", overrides=overrides, **options)


class Reversed(list):
    """A list like a reversed data-frame column: iteration and [index] disagree."""

    def __iter__(self):
        return super().__reversed__()


def test_labels_belong_to_texts_by_place_not_by_index():
    texts, labels = Reversed(["red fox", "red hen", "blue fox"]), Reversed(["a", "b", "c"])
    chosen = Configuration.of(configuration())
    corpus = topiclab.data.sources.corpora.corpus_from_texts(
        texts, labels=labels, vocabulary=chosen.vocabulary, split=chosen.split
    )
    assert corpus.texts == ("blue fox", "red hen", "red fox")
    assert [corpus.label_names[label] for label in corpus.labels] == ["c", "b", "a"]


# Files of documents.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"body,topic\nred fox,a\n", "no column text, the columns are body, topic"),
        (b"text\nred fox\n\xff\xfe hen\n", r"line 3, byte 1: 0xff is not utf-8.* 1 of 3 lines"),
        (b"", "the file is empty; check data.path"),
        (b"text\n", "0 usable documents"),
        (b'text\n" "\n""\n', "0 usable documents .*2 blank"),
        (b"text\nred fox\n", "1 usable documents"),
        (b"text,topic\nred fox,a\nred hen\n", r"line 3: the record does not have the header's 2 fields"),
    ],
)
def test_a_file_that_is_no_corpus_fails_the_cell(content, message, tmp_path):
    (tmp_path / "posts.csv").write_bytes(content)
    file = ["data=file", "data.path=posts.csv"]
    with pytest.raises(CellFailed, match=message):
        run_cell(compose(["model=kmeans", "num_topics=2", "paths.cache=cache", *file]), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "failed"


def test_a_document_of_a_megabyte_is_fitted(tmp_path):
    texts = ["red fox runs", "blue hen sits", "red hen runs", "blue fox sits"] * 3
    texts.append("red fox blue hen " * 62_000)
    (tmp_path / "posts.txt").write_text("\n".join(texts))
    file = ["data=file", "data.path=posts.txt", *CORPUS[2:]]
    run_cell(compose(["model=kmeans", "num_topics=2", "paths.cache=cache", *file]), tmp_path / "run")
    assert TopicResult.load(tmp_path / "run" / "topics.npz").theta.shape == (13, 2)


# Precomputed embeddings.

VECTORS = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.where(VECTORS[7, 1] == VECTORS, np.nan, VECTORS), r"not finite in 1 rows, first \[7\]; encode"),
        (VECTORS.astype(np.float64) * 1e300, "not finite in 40 rows"),
        (VECTORS[:9], "has 9 rows, the corpus 40 documents; make it from the loaded corpus"),
        (VECTORS[0], r"shape \(3,\); it must be \(documents, dimensions\)"),
        (VECTORS.astype(np.int64), "holds int64; save it as float32"),
        (VECTORS.astype(str), "holds <U32; save it as float32"),
    ],
)
def test_precomputed_vectors_that_do_not_fit(array, message, tmp_path):
    np.save(tmp_path / "vectors.npy", array)
    check_failure(tmp_path / "run", message, "embedder=precomputed", "embedder.path=vectors.npy")


@pytest.mark.parametrize("damage", ["empty", "half", "text", "archive"])
def test_precomputed_file_that_is_no_array(damage, tmp_path):
    path = tmp_path / "vectors.npy"
    np.save(path, VECTORS)
    content = {"empty": b"", "half": path.read_bytes()[:300], "text": b"0.1 0.2"}
    if damage == "archive":
        np.savez(tmp_path / "vectors.npz", VECTORS)
        (tmp_path / "vectors.npz").replace(path)
    else:
        path.write_bytes(content[damage])
    message = "npz archive; save its array" if damage == "archive" else "whole .npy file.* numpy.save"
    check_failure(tmp_path / "run", message, "embedder=precomputed", "embedder.path=vectors.npy")


def test_proportions_that_are_not_finite_fail_the_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(
        KMeans, "transform", lambda self, bow, _: np.full((bow.shape[0], 2), np.nan, np.float32)
    )
    check_failure(tmp_path / "run", "theta holds 80 values that are not finite")
