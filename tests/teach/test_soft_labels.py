"""The driver of all teachers: shards, storage, keys and refusals; and the neighbour teacher."""

import logging
import time

import numpy as np
import planted
import pytest
from embedding_corpus import embedding_corpus

from topiclab.cache import Cache
from topiclab.config import instantiate
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.targets import distributions
from topiclab.teach import soft_labels as driver
from topiclab.teach.neighbours import NeighbourTeacher
from topiclab.teach.soft_labels import soft_labels

NEIGHBOURS = {
    "name": "neighbours",
    "_target_": "topiclab.teach.neighbours.NeighbourTeacher",
    "temperature": 1.0,
    "top_k": None,
    "num_neighbours": 10,
}


class Scripted:
    """A teacher with given logits that can die after some shards."""

    logits: np.ndarray
    labelled: list[int]
    dies_after: int | None

    def fingerprint(self, datamodule):
        return {"teacher": "scripted"}

    def prepare(self, datamodule):
        return {"fact": 1}

    def label(self, rows):
        if self.dies_after is not None and len(Scripted.labelled) >= self.dies_after:
            raise KeyboardInterrupt
        Scripted.labelled.append(int(rows[0]))
        return Scripted.logits[rows], Scripted.logits[rows, :3]


@pytest.fixture
def scripted(monkeypatch):
    size = (planted.corpus().num_docs, planted.corpus().num_words)
    Scripted.logits = np.random.default_rng(0).normal(size=size).astype(np.float32)
    Scripted.labelled, Scripted.dies_after = [], None
    monkeypatch.setattr(driver, "SHARD_DOCS", 100)
    found = instantiate.get_object
    monkeypatch.setattr(
        instantiate, "get_object", lambda path: Scripted if path == "scripted" else found(path)
    )
    return {"name": "scripted", "_target_": "scripted", "temperature": 3.0, "top_k": None}


def datamodule(cache_root=None, **options):
    return TopicDataModule(
        planted.corpus(), planted.vectors(), embedding_key="planted", cache_root=cache_root, **options
    )


def test_an_interrupted_pass_goes_on_at_the_shard_where_it_stopped(scripted, tmp_path):
    Scripted.dies_after = 2
    with pytest.raises(KeyboardInterrupt):
        soft_labels(scripted, datamodule(tmp_path), None)
    Scripted.dies_after = None
    labels = soft_labels(scripted, datamodule(tmp_path), None)
    assert Scripted.labelled == list(range(0, 600, 100))
    np.testing.assert_allclose(labels.raw_logits(slice(None)), Scripted.logits, atol=5e-3)
    np.testing.assert_array_equal(labels.vectors, Scripted.logits[:, :3])
    again = soft_labels(scripted, datamodule(tmp_path), None)
    assert again.is_cached
    assert len(Scripted.labelled) == 6
    assert again.manifest["fact"] == 1


def test_top_k_is_stored_small_and_under_a_key_of_its_own(scripted, tmp_path):
    dense = soft_labels(scripted, datamodule(tmp_path), None)
    few = soft_labels({**scripted, "top_k": 5}, datamodule(tmp_path), None)
    assert few.key != dense.key
    assert few.logits.shape == few.words.shape == (600, 5)
    assert few.logits.dtype == np.float16
    np.testing.assert_array_equal(few.words, np.argsort(-Scripted.logits, axis=1)[:, :5])
    np.testing.assert_array_equal(few.most_likely(np.arange(9), 3), dense.most_likely(np.arange(9), 3))


def test_labels_without_a_cache_are_the_same(scripted, tmp_path):
    kept, made = (soft_labels(scripted, datamodule(root), None) for root in (tmp_path, None))
    np.testing.assert_array_equal(kept.logits, made.logits)
    assert not made.is_cached


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "not numbers for 1 documents.*rows 7"), (np.inf, "not numbers"), (-np.inf, "impossible")],
)
def test_logits_that_say_nothing_true_are_refused(scripted, value, message, tmp_path):
    Scripted.logits[7] = value
    with pytest.raises(ValueError, match=message):
        soft_labels(scripted, datamodule(tmp_path), None)
    assert Cache(tmp_path).read("soft_labels", {}) is None


def test_equal_logits_are_told_and_refused_where_all_are(scripted, tmp_path, caplog):
    Scripted.logits[3] = 1.5
    with caplog.at_level(logging.WARNING):
        labels = soft_labels(scripted, datamodule(tmp_path / "one"), None)
    assert "equally likely for 1 of 600" in caplog.text
    assert labels.manifest["num_uninformative"] == 1
    Scripted.logits[:, 1:] = 1.5
    Scripted.logits[:, 0] = -np.inf  # a word with no mass in any document
    with pytest.raises(ValueError, match="teaches nothing"):
        soft_labels(scripted, datamodule(tmp_path / "all"), None)


def test_a_published_size_opens_in_under_a_second(tmp_path):
    """Labels of 20,000 documents over 2,000 words, in float16: the file is mapped, not read."""
    entry = Cache(tmp_path).array_entry(
        "soft_labels", {}, lambda: {"logits": np.zeros((20_000, 2_000), np.float16)}
    )
    started = time.perf_counter()
    found = Cache(tmp_path).read("soft_labels", {})
    assert found.arrays()["logits"].shape == (20_000, 2_000)
    assert time.perf_counter() - started < 1
    assert entry.folder == found.folder


def test_neighbour_labels_speak_of_the_documents_topic():
    labels = soft_labels(NEIGHBOURS, datamodule(), None)
    values = np.asarray(distributions(labels, 1.0).values, dtype=float)
    own = planted.corpus().labels
    counts = np.stack([planted.corpus().bow[own == label].sum(axis=0).A1 for label in range(5)])
    speaks = np.stack([values[:, counts.argmax(0) == label].sum(1) for label in range(5)], axis=1)
    right = speaks[np.arange(len(own)), own].mean()
    shuffled = speaks[np.arange(len(own)), np.random.default_rng(0).permutation(own)].mean()
    assert right > 0.7 > 0.4 > shuffled


def test_neighbour_labels_by_hand():
    """The label is the mean of the TF-IDF bags of a document and its nearest training documents."""
    module = datamodule()
    labels = soft_labels(NEIGHBOURS, module, None)
    bow = planted.corpus().bow.toarray().astype(float)
    train = module.train_rows
    idf = np.log1p(len(train) / (bow[train] > 0).sum(0))
    bags = bow / bow.sum(1, keepdims=True) * idf
    row = int(planted.corpus().rows("test")[0])
    unit = planted.vectors() / np.linalg.norm(planted.vectors(), axis=1, keepdims=True)
    nearest = train[np.argsort(-(unit[train] @ unit[row]), kind="stable")[:10]]
    expected = bags[row] + bags[nearest].sum(0)
    values = distributions(labels, 1.0).values[row].astype(float)
    np.testing.assert_allclose(values, expected / expected.sum(), atol=1e-3)


def test_a_document_whose_vector_is_zero_gets_the_average_label():
    vectors = planted.vectors().copy()
    vectors[[3, 8]] = 0
    zeroed = TopicDataModule(planted.corpus(), vectors, embedding_key="zeroed")
    labels = soft_labels(NEIGHBOURS, zeroed, None)
    values = np.asarray(distributions(labels, 1.0).values, dtype=float)
    assert labels.manifest["documents_without_vector"] == 2
    np.testing.assert_array_equal(values[3], values[8])
    assert (values[3] > 0).all()
    assert not (values[4] > 0).all()
    teacher = NeighbourTeacher(10)
    assert teacher.fingerprint(zeroed)["version"] == 2
    assert teacher.fingerprint(datamodule())["version"] == 1
    with pytest.raises(ValueError, match="choose an embedder"):
        soft_labels(NEIGHBOURS, TopicDataModule(planted.corpus(), None), None)


def test_held_out_documents_are_no_ones_neighbours():
    found = datamodule().all_neighbours(10)
    assert found.max() < len(datamodule().train_rows)


def test_smaller_neighbourhoods_are_the_beginning_of_larger_ones(tmp_path):
    module = datamodule(tmp_path)
    np.testing.assert_array_equal(module.train_neighbours(5), module.train_neighbours(20)[:, :5])
    assert len(list((tmp_path / "neighbours").glob("*/rows.npy"))) == 1


def test_precomputed_labels_are_read_and_those_of_other_documents_refused(tmp_path):
    made = soft_labels(NEIGHBOURS, datamodule(tmp_path), None)
    folder = next((tmp_path / "soft_labels").glob("*/logits.npy")).parent
    precomputed = {"_target_": "topiclab.teach.precomputed.PrecomputedTeacher", "path": str(folder)}
    cfg = {"name": "precomputed", "temperature": 1.0, "top_k": None, **precomputed}
    read = soft_labels(cfg, datamodule(tmp_path / "other"), None)
    np.testing.assert_array_equal(read.logits, made.logits)
    other = TopicDataModule(embedding_corpus(["fox and hound"], vocab=planted.corpus().vocab), None)
    with pytest.raises(ValueError, match="soft labels of other texts than those of test"):
        soft_labels(cfg, other, None)
    words = TopicDataModule(embedding_corpus(planted.corpus().texts, vocab=("fox",)), None)
    with pytest.raises(ValueError, match="soft labels of other vocabulary"):
        soft_labels(cfg, words, None)
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / "manifest.json").write_text('{"inputs": {}}')
    for path in (tmp_path, tmp_path / "embeddings"):
        with pytest.raises(ValueError, match="holds no soft labels"):
            soft_labels({**cfg, "path": str(path)}, datamodule(), None)
