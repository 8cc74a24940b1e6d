"""Interrupts, damaged files, full disks and races: repeating the line succeeds and nothing is lost."""

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
from small_cells import (
    CORPUS,
    SMALL,
    STOPS_EARLY,
    cell,
    check_failure,
    check_same_topics,
    configuration,
)

import topiclab
from topiclab.cache import save_array
from topiclab.config.compose import ConfigError, compose
from topiclab.embed.lsa import LsaEmbedder
from topiclab.models.base.topic_model import TopicModel
from topiclab.pipeline import fit_texts
from topiclab.result import TopicResult
from topiclab.runs.run import CellFailed, run_cell


@pytest.fixture(autouse=True)
def _chdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of an uninterrupted run of these overrides, fitted once."""
    folders = {}

    def fitted(*overrides, model):
        if (model, overrides) not in folders:
            folder = folders[model, overrides] = tmp_path_factory.mktemp("whole")
            cell(folder / "run", *overrides, f"paths.cache={folder}/cache", model=model)
        return folders[model, overrides] / "run"

    return fitted


# Interrupts and damage: repeat the same line.


def interrupt_once(monkeypatch, owner, name, when=lambda *args: True):
    """Raise Ctrl-C the first time that owner.name is called."""
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
        ("theta", fit_texts, "evaluate", []),
        ("theta", fit_texts, "write_topics", []),
        ("theta", fit_texts, "save_model", []),
        ("theta", TopicResult, "save", []),
    ],
)
def test_interrupted_cell_resumes_to_the_same_topics(
    model, owner, name, epochs_again, tmp_path, monkeypatch, epochs_seen, whole, caplog
):
    caplog.set_level(logging.INFO)
    overrides = ["trainer.max_epochs=8", "trainer.checkpoint_seconds=0"]
    uninterrupted = whole(*overrides, model=model)
    interrupt_once(monkeypatch, owner, name, lambda self, *_: name != "total_loss" or self.current_epoch == 5)
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


def test_a_model_that_draws_resumes_to_the_same_topics(tmp_path, monkeypatch, epochs_seen, whole):
    overrides = ["trainer.max_epochs=3", "trainer.checkpoint_seconds=0", "model.theta_samples=2"]
    uninterrupted = whole(*overrides, model="prodlda")
    interrupt_once(monkeypatch, fit_texts, "evaluate")
    with pytest.raises(KeyboardInterrupt):
        cell(tmp_path / "run", *overrides, model="prodlda")
    epochs_seen.clear()
    cell(tmp_path / "run", *overrides, model="prodlda")
    assert epochs_seen == []
    check_same_topics(tmp_path / "run", uninterrupted)


def test_cell_interrupted_after_it_stopped_early_trains_no_further(tmp_path, monkeypatch, epochs_seen, whole):
    overrides = ["trainer.max_epochs=8", *STOPS_EARLY]
    uninterrupted = whole(*overrides, model="theta")
    assert len(json.loads((uninterrupted / "training_history.json").read_text())) == 3
    interrupt_once(monkeypatch, fit_texts, "evaluate")
    with pytest.raises(KeyboardInterrupt):
        cell(tmp_path / "run", *overrides, model="theta")
    epochs_seen.clear()
    assert cell(tmp_path / "run", *overrides, model="theta")["manifest"]["fit"] == {"epochs": 3}
    assert epochs_seen == []
    check_same_topics(tmp_path / "run", uninterrupted)


@pytest.mark.parametrize(("name", "share"), [("last", 0), ("last", 0.3), ("best", 0.99)])
def test_damaged_checkpoint_is_never_used(name, share, tmp_path, monkeypatch, epochs_seen, whole, caplog):
    overrides = ["trainer.patience=9", "model.kl_warmup=0"]
    interrupt_once(monkeypatch, fit_texts, "evaluate")
    with pytest.raises(KeyboardInterrupt):
        cell(tmp_path / "run", *overrides, model="theta")
    path = tmp_path / "run" / "checkpoints" / f"{name}.ckpt"
    os.truncate(path, int(share * path.stat().st_size))
    epochs_seen.clear()
    cell(tmp_path / "run", *overrides, model="theta")
    if name == "last":
        assert "resuming from the older best.ckpt, because last.ckpt is damaged" in caplog.text
    else:
        assert epochs_seen == [0, 1]
        assert f"starting over: the checkpoints in {path.parent} are dropped, because best" in caplog.text
    check_same_topics(tmp_path / "run", whole(*overrides, model="theta"))
    torch.load(path, weights_only=True)


def test_checkpoint_of_other_documents_is_not_gone_on_from(tmp_path, monkeypatch, epochs_seen, caplog):
    texts = ["red fox runs", "blue hen sits", "red hen runs", "blue fox sits"] * 3
    file = ["data=file", "data.path=posts.txt", *CORPUS[2:], *SMALL, "num_topics=2", "paths.cache=cache"]
    (tmp_path / "posts.txt").write_text("\n".join(texts))
    interrupt_once(monkeypatch, fit_texts, "evaluate")
    with pytest.raises(KeyboardInterrupt):
        run_cell(compose(file), tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "older")
    (tmp_path / "posts.txt").write_text("\n".join([*texts, "red fox sits", "green hen runs"]))
    with pytest.raises(ConfigError, match=r"posts\.txt has changed from .* since the unfinished run in"):
        run_cell(compose(file), tmp_path / "run")
    epochs_seen.clear()
    run_cell(compose([*file, "rerun=true"]), tmp_path / "run")
    assert epochs_seen == [0, 1]
    (tmp_path / "older" / ".inputs").unlink()  # as earlier versions left a run
    run_cell(compose(file), tmp_path / "older")
    assert epochs_seen == [0, 1, 0, 1]
    assert "because they belong to other documents, embeddings or soft labels" in caplog.text


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
        ("training_history.json.{pid}.tmp", "theta"),
        ("topics.txt", "kmeans"),
        ("model.json", "kmeans"),
        ("topics.npz.{pid}.tmp", "kmeans"),
        ("result.json.{pid}.tmp", "kmeans"),
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

    monkeypatch.setattr("topiclab.runs.run.write_failure", full)
    with pytest.raises(CellFailed, match=r"num_topics=50.*\nnot written to .*No space left"):
        cell(tmp_path / "run", "num_topics=50")


# Two processes at once.


def race(*jobs):
    """Start all jobs at the same moment; return each job's result."""
    barrier = threading.Barrier(len(jobs))

    def start(job):
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(start, jobs))


@pytest.fixture
def fits_seen(monkeypatch):
    """List one entry per embedder fit, slowed down enough for another job to come in."""
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
    evaluated, evaluate = [], fit_texts.evaluate
    monkeypatch.setattr(
        fit_texts, "evaluate", lambda *args, **options: evaluated.append(1) or evaluate(*args, **options)
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
