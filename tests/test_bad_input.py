"""Bad input and bad luck, end to end: each case ends in a clear error or the right result, nothing lost."""

import errno
import json
import logging
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import embedding_corpus

import topiclab
from topiclab.config import compose, conf_dir
from topiclab.data.cache import save_array
from topiclab.embed.lsa import LsaEmbedder
from topiclab.models.base import TopicModel
from topiclab.models.classical import KMeans
from topiclab.result import TopicResult
from topiclab.run import CellFailed, run_cell
from topiclab.tasks import fit as fit_task

MODELS = sorted(path.stem for path in (conf_dir() / "model").glob("[!_]*.yaml"))
NEURAL = ["theta", "prodlda"]
CORPUS = [
    "data=synthetic",
    "data.planted.num_docs=40",
    "data.vocabulary.min_df=1",
    "data.vocabulary.max_df=1.0",
]
SMALL = [
    "model.encoder.hidden_dims=[32,32]",
    "model.init_epochs=1",
    "model.min_steps=1",
    "trainer.max_epochs=2",
]
NO_SPLIT = ["data.split.val=0", "data.split.test=0"]
# Stops after 3 of 8 epochs: with no step taken, no epoch is better than the first.
STOPS_EARLY = ["trainer.patience=2", "model.lr=1e-30", "model.kl_warmup=0"]


@pytest.fixture(autouse=True)
def _chdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def configuration(*overrides, model="kmeans"):
    small = SMALL if model in NEURAL else []
    fixed = [f"model={model}", "num_topics=2", "trainer.device=cpu", "paths.cache=cache"]
    return compose([*CORPUS, *fixed, *small, *overrides])


def cell(folder, *overrides, model="kmeans"):
    return run_cell(configuration(*overrides, model=model), folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an uninterrupted run of these overrides, fitted once."""
    folders = {}

    def fitted(*overrides, model):
        if (model, overrides) not in folders:
            folder = folders[model, overrides] = tmp_path_factory.mktemp("whole")
            cell(folder / "run", *overrides, f"paths.cache={folder}/cache", model=model)
        return folders[model, overrides] / "run"

    return fitted


def check_failure(folder, message, *overrides, model="kmeans"):
    """The cell fails with the message, in the error and in result.json, and leaves no topics."""
    with pytest.raises(CellFailed, match=message) as caught:
        cell(folder, *overrides, model=model)
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "failed"
    assert result["reason"] == str(caught.value).partition("\ntraceback: ")[0]
    assert not (folder / "topics.npz").exists()


def check_same_topics(folder, other):
    first, second = (TopicResult.load(path / "topics.npz") for path in (folder, other))
    np.testing.assert_array_equal(first.theta, second.theta)
    np.testing.assert_array_equal(first.beta, second.beta)
    assert first.topic_words() == second.topic_words()


# Too few documents, topics, words or labels.


@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "ignore:Maximum number of iterations")
@pytest.mark.parametrize(("num_docs", "patience"), [(2, "1"), (3, "null"), (10, "1")])
@pytest.mark.parametrize("model", MODELS)
def test_a_handful_of_documents_is_fitted_without_validation_and_test(model, num_docs, patience, tmp_path):
    few = [f"data.planted.num_docs={num_docs}", "embedder=random", f"trainer.patience={patience}"]
    result = cell(tmp_path / "run", *few, *NO_SPLIT, model=model)
    assert result["reasons"]["test/nmi"] == "the split has no documents"
    theta = TopicResult.load(tmp_path / "run" / "topics.npz").theta
    assert theta.shape == (num_docs, 2)


def test_patience_without_validation_documents_is_told(tmp_path, caplog):
    cell(tmp_path / "run", *NO_SPLIT, "trainer.patience=1", model="theta")
    assert "trainer.patience=1 watches validation documents, but synthetic has none" in caplog.text
    caplog.clear()
    cell(tmp_path / "other", "trainer.patience=1", model="theta")
    assert "patience" not in caplog.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.planted.num_docs=1"], r"1 usable documents \(1 read.*at least 2; give more texts"),
        (["num_topics=50"], r"num_topics=50, but synthetic has \d\d training documents; ask for fewer"),
        (["data.planted.num_docs=2"], "nothing tells the texts apart; give more documents"),
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


@pytest.mark.parametrize("model", [name for name in MODELS if name != "prodlda"])
def test_one_topic_is_the_corpus(model, tmp_path):
    cell(tmp_path / "run", "num_topics=1", model=model)
    assert (TopicResult.load(tmp_path / "run" / "topics.npz").theta == 1).all()


def test_training_rows_must_be_two_and_hold_words():
    with pytest.raises(ValueError, match=r"1 training document of 2.*data\.split\.val=0"):
        fit_task.check_sizes({"num_topics": 1}, embedding_corpus(["one", "two"], num_train=1))
    with pytest.raises(ValueError, match="no training document of test holds a word"):
        fit_task.check_sizes({"num_topics": 2}, embedding_corpus(["one", "two"]))


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        ([], {}, ValueError, "0 usable documents.*give more texts"),
        (["only one text here"], {}, ValueError, "1 usable documents.*give more texts"),
        (["", " \n", "\t"], {}, ValueError, "3 blank"),
        (["red fox", "red hen", None], {}, TypeError, "replace missing texts by ''"),
        ("one string", {}, TypeError, "must be a sequence"),
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
    """Like a column of a data frame put upside down: iteration and [index] disagree."""

    def __iter__(self):
        return super().__reversed__()


def test_labels_belong_to_texts_by_place_not_by_index():
    texts, labels = Reversed(["red fox", "red hen", "blue fox"]), Reversed(["a", "b", "c"])
    vocabulary, split = (configuration()["data"][key] for key in ("vocabulary", "split"))
    corpus = topiclab.data.sources.corpus_from_texts(texts, labels=labels, vocabulary=vocabulary, split=split)
    assert corpus.texts == ("blue fox", "red hen", "red fox")
    assert [corpus.label_names[label] for label in corpus.labels] == ["c", "b", "a"]


# Files of documents.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"body,topic\nred fox,a\n", "no column text, the columns are body, topic"),
        (b"text\nred fox\n\xff\xfe hen\n", r"line 3, byte 1: 0xff is not utf-8.*data\.encoding=latin-1"),
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
    message = "npz archive; save its one array" if damage == "archive" else "whole .npy file.* numpy.save"
    check_failure(tmp_path / "run", message, "embedder=precomputed", "embedder.path=vectors.npy")


def test_proportions_that_are_not_finite_fail_the_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(
        KMeans, "transform", lambda self, bow, _: np.full((bow.shape[0], 2), np.nan, np.float32)
    )
    check_failure(tmp_path / "run", "theta holds 80 values that are not finite")


# Interrupts and damage: the same line again.


def interrupt_once(monkeypatch, owner, name, when=lambda *args: True):
    """Ctrl-C the first time that owner.name is called."""
    original, waiting = getattr(owner, name), [True]

    def interrupted(*args, **options):
        if waiting and when(*args):
            waiting.clear()
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(owner, name, interrupted)


@pytest.fixture
def epochs_seen(monkeypatch):
    seen, step = [], TopicModel.training_step

    def watched(self, *args):
        seen.append(self.current_epoch)
        return step(self, *args)

    monkeypatch.setattr(TopicModel, "training_step", watched)
    return seen


@pytest.mark.parametrize(
    ("model", "owner", "name", "epochs_again"),
    [
        ("theta", LsaEmbedder, "encode", range(8)),
        ("theta", TopicModel, "total_loss", range(5, 8)),
        ("prodlda", TopicModel, "total_loss", range(5, 8)),
        ("theta", TopicModel, "infer", []),
        ("theta", fit_task, "evaluate", []),
        ("theta", fit_task, "write_topics", []),
        ("theta", fit_task, "save_bundle", []),
        ("theta", TopicResult, "save", []),
    ],
)
def test_interrupted_cell_resumes_to_the_same_topics(
    model, owner, name, epochs_again, tmp_path, monkeypatch, epochs_seen, whole, caplog
):
    caplog.set_level(logging.INFO)
    overrides = ["trainer.max_epochs=8", "trainer.checkpoint_seconds=0"]
    uninterrupted = whole(*overrides, model=model)
    interrupt_once(
        *(monkeypatch, owner, name), lambda self, *_: name != "total_loss" or self.current_epoch == 5
    )
    with pytest.raises(KeyboardInterrupt):
        cell(tmp_path / "run", *overrides, model=model)
    assert not (tmp_path / "run" / "result.json").exists()
    epochs_seen.clear()
    caplog.clear()
    result = cell(tmp_path / "run", *overrides, model=model)
    assert epochs_seen == list(epochs_again)
    assert ("resuming from" in caplog.text) == (owner is not LsaEmbedder)
    assert result["manifest"]["fit"] == {"epochs": 8}
    check_same_topics(tmp_path / "run", uninterrupted)
    for name in ("training_history.json", "metrics.csv"):
        assert (tmp_path / "run" / name).read_text() == (uninterrupted / name).read_text()
    assert (tmp_path / "run" / "metrics.csv").read_text().count("\n") == 9


def test_cell_interrupted_after_it_stopped_early_trains_no_further(tmp_path, monkeypatch, epochs_seen, whole):
    overrides = ["trainer.max_epochs=8", *STOPS_EARLY]
    uninterrupted = whole(*overrides, model="theta")
    assert len(json.loads((uninterrupted / "training_history.json").read_text())) == 3
    interrupt_once(monkeypatch, fit_task, "evaluate")
    with pytest.raises(KeyboardInterrupt):
        cell(tmp_path / "run", *overrides, model="theta")
    epochs_seen.clear()
    assert cell(tmp_path / "run", *overrides, model="theta")["manifest"]["fit"] == {"epochs": 3}
    assert epochs_seen == []
    check_same_topics(tmp_path / "run", uninterrupted)


@pytest.mark.parametrize(("name", "share"), [("last", 0), ("last", 0.3), ("best", 0.99)])
def test_truncated_checkpoint_starts_over_with_a_warning(
    name, share, tmp_path, monkeypatch, epochs_seen, whole, caplog
):
    overrides = ["trainer.patience=9", "model.kl_warmup=0"]
    interrupt_once(monkeypatch, fit_task, "evaluate")
    with pytest.raises(KeyboardInterrupt):
        cell(tmp_path / "run", *overrides, model="theta")
    path = tmp_path / "run" / "checkpoints" / f"{name}.ckpt"
    os.truncate(path, int(share * path.stat().st_size))
    epochs_seen.clear()
    cell(tmp_path / "run", *overrides, model="theta")
    assert epochs_seen == [0, 1]
    assert (
        f"starting over: the checkpoints in {path.parent} are dropped, because {name}.ckpt is" in caplog.text
    )
    check_same_topics(tmp_path / "run", whole(*overrides, model="theta"))
    torch.load(path, weights_only=True)


def test_checkpoint_of_other_documents_is_not_gone_on_from(tmp_path, monkeypatch, epochs_seen, caplog):
    texts = ["red fox runs", "blue hen sits", "red hen runs", "blue fox sits"] * 3
    file = ["data=file", "data.path=posts.txt", *CORPUS[2:], *SMALL, "num_topics=2", "paths.cache=cache"]
    (tmp_path / "posts.txt").write_text("\n".join(texts))
    interrupt_once(monkeypatch, fit_task, "evaluate")
    with pytest.raises(KeyboardInterrupt):
        run_cell(compose(file), tmp_path / "run")
    (tmp_path / "posts.txt").write_text("\n".join([*texts, "red fox sits", "green hen runs"]))
    epochs_seen.clear()
    run_cell(compose(file), tmp_path / "run")
    assert epochs_seen == [0, 1]
    assert "because they are of other documents or embeddings" in caplog.text


def test_truncated_cache_entry_is_computed_again(tmp_path, caplog):
    cell(tmp_path / "first")
    (vectors,) = tmp_path.glob("cache/embeddings/*/vectors.npy")
    os.truncate(vectors, vectors.stat().st_size // 2)
    cell(tmp_path / "second")
    assert "vectors.npy has" in caplog.text
    check_same_topics(tmp_path / "first", tmp_path / "second")


# A full disk.


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("training_history.partial", "theta"),
        ("topics.txt", "kmeans"),
        ("model.json", "kmeans"),
        ("topics.npz.{pid}.tmp", "kmeans"),
        (".result.json.{pid}", "kmeans"),
    ],
)
def test_full_disk_is_told_and_the_same_line_ends_well(name, model, tmp_path, whole):
    full = tmp_path / "run" / name.format(pid=os.getpid())
    full.parent.mkdir()
    full.symlink_to("/dev/full")
    message = "No space left on device; free space for .*run and cache, then start the same line again"
    with pytest.raises(CellFailed, match=message):
        cell(tmp_path / "run", model=model)
    full.unlink(missing_ok=True)
    assert cell(tmp_path / "run", model=model)["status"] == "done"
    check_same_topics(tmp_path / "run", whole(model=model))


def test_full_disk_under_the_cache_leaves_nothing_there(tmp_path, monkeypatch):
    def write_array(stream, array, **_):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", write_array)
        check_failure(tmp_path / "run", "No space left on device; free space for .*run and cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert cell(tmp_path / "run")["status"] == "done"


def test_failure_on_a_full_disk_keeps_its_reason(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("topiclab.run.write_failure", full)
    with pytest.raises(CellFailed, match=r"num_topics=50.*\nnot told in .*No space left"):
        cell(tmp_path / "run", "num_topics=50")


# Two at once.


def race(*jobs):
    """What each job returns, all started at the same moment."""
    barrier = threading.Barrier(len(jobs))

    def start(job):
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(start, jobs))


@pytest.fixture
def fits_seen(monkeypatch):
    """One entry for every fit of an embedder, which takes long enough for another to come in."""
    seen, fit = [], LsaEmbedder.fit

    def slow(self, texts):
        seen.append(len(texts))
        time.sleep(0.3)
        return fit(self, texts)

    monkeypatch.setattr(LsaEmbedder, "fit", slow)
    return seen


def test_two_cells_of_one_cache_entry_compute_it_once(tmp_path, fits_seen):
    configurations = [configuration(f"seed={seed}") for seed in (0, 1)]
    jobs = [lambda cfg=cfg: run_cell(cfg, tmp_path / str(cfg["seed"])) for cfg in configurations]
    assert [result["status"] for result in race(*jobs)] == ["done", "done"]
    assert len(fits_seen) == 1


def test_two_lines_of_one_cell_fit_it_once(tmp_path, fits_seen, monkeypatch):
    cfg = configuration()
    evaluated, evaluate = [], fit_task.evaluate
    monkeypatch.setattr(
        fit_task, "evaluate", lambda *args, **options: evaluated.append(1) or evaluate(*args, **options)
    )
    first, second = race(*[lambda: run_cell(cfg, tmp_path / "run")] * 2)
    assert first == second
    assert len(evaluated) == len(fits_seen) == 1


# A run folder that cannot be read.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    texts = ["red fox runs", "blue hen sits", "red hen runs", "blue fox sits"] * 3
    topiclab.fit(
        texts, "kmeans", 2, overrides=[*CORPUS[2:], f"paths.cache={folder}/cache"], folder=folder / "run"
    )
    return folder / "run"


@pytest.mark.parametrize("damage", ["missing", "empty", "half", "flipped", "foreign"])
@pytest.mark.parametrize(
    "name", ["result.json", "topics.npz", "model.json", "model.safetensors", "embedder.safetensors"]
)
def test_damaged_run_folder_names_the_file(name, damage, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "foreign":
        save_array(path, np.ones(3))
    elif damage == "flipped":
        content[:40] = bytes(reversed(content[:40]))
        path.write_bytes(content)
    else:
        path.write_bytes(content[: len(content) // 2 if damage == "half" else 0])
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        topiclab.load(tmp_path / "run")


@pytest.mark.parametrize("name", ["model.json", "result.json"])
def test_json_without_its_keys_is_named(name, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    for content in ("{}", "[]"):
        (tmp_path / "run" / name).write_text(content)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            topiclab.load(tmp_path / "run")


def test_a_run_that_fits_nothing_is_no_topics(tmp_path):
    cell(tmp_path / "run", "task=embed")
    with pytest.raises(ValueError, match="holds a run of task=embed; give the folder of a task=fit"):
        topiclab.load(tmp_path / "run")
    with pytest.raises(CellFailed):
        cell(tmp_path / "failed", "num_topics=50")
    with pytest.raises(ValueError, match="holds no finished run: ValueError: num_topics=50"):
        topiclab.load(tmp_path / "failed")
