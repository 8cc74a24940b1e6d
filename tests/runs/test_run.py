import json
import multiprocessing
import subprocess
from pathlib import Path

import cells
import pytest

from topiclab.config.compose import ConfigError, compose
from topiclab.config.identity import config_hash
from topiclab.runs.outcome import Outcome
from topiclab.runs.provenance import git_revision
from topiclab.runs.run import CellFailed, run_cell, write_failure


@pytest.fixture
def cfg():
    composed = compose(["num_topics=5", "trainer.device=cpu", "trainer.gradient_clip=0.1"])
    return composed | {"task": {"name": "fit", "_target_": "cells.fit", "keys": None}}


def attempts(folder):
    return (folder / "attempts").read_text().count("\n")


def test_finished_cell_is_read_back_not_run_again(cfg, tmp_path):
    first = run_cell(cfg, tmp_path)
    assert first == json.loads((tmp_path / "result.json").read_text())
    assert (first["status"], first["config_hash"]) == ("done", config_hash(cfg))
    assert run_cell(cfg | {"name": "other"}, tmp_path) == first
    assert attempts(tmp_path) == 1


def test_values_that_are_no_numbers_become_null_with_a_reason(cfg, tmp_path):
    result = run_cell(cfg, tmp_path)
    assert result["metrics"] == {"npmi": 0.25, "td": None}
    assert result["reasons"] == {"td": "the value is nan"}
    assert result["manifest"] == {
        "threads": result["manifest"]["threads"],
        "cwd": str(Path.cwd()),
        "worst": None,
        "folder": str(tmp_path),
    }


def test_result_tells_where_it_came_from(cfg, tmp_path):
    result = run_cell(cfg, tmp_path)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert result["git_revision"].removesuffix("-dirty") == head
    assert result["device"] == "cpu"
    assert 0.005 < result["peak_rss_gib"] < 2
    assert {"python", "torch", "lightning", "numpy"} <= result["versions"].keys()


def test_revision_is_none_outside_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "topiclab.runs.provenance.__file__", str(tmp_path / "topiclab" / "runs" / "provenance.py")
    )
    assert git_revision() is None


def test_folder_of_another_configuration_is_refused_by_its_keys(cfg, tmp_path):
    run_cell(cfg, tmp_path)
    with pytest.raises(ConfigError, match=r"trainer\.gradient_clip \(0\.1 -> 0\.2\).*name=") as caught:
        run_cell(cfg | {"trainer": cfg["trainer"] | {"gradient_clip": 0.2}}, tmp_path)
    assert "num_topics" not in str(caught.value)
    assert attempts(tmp_path) == 1


def test_cell_is_read_back_after_its_class_has_moved(cfg, tmp_path):
    model = {"name": "theta", "_target_": "topiclab.models.theta.THETA", "lr": 0.1}
    first = run_cell(cfg | {"model": model}, tmp_path)
    assert run_cell(cfg | {"model": model | {"_target_": "elsewhere.Theta"}}, tmp_path) == first
    assert attempts(tmp_path) == 1
    with pytest.raises(ConfigError, match=r"configuration: model\.name \(theta -> other\); give"):
        run_cell(cfg | {"model": model | {"name": "other"}}, tmp_path)


def test_a_class_without_a_name_is_identified_by_its_path(cfg, tmp_path):
    run_cell(cfg | {"model": {"_target_": "one.Model"}}, tmp_path)
    with pytest.raises(ConfigError, match=r"model\._target_ \(one\.Model -> other\.Model\)"):
        run_cell(cfg | {"model": {"_target_": "other.Model"}}, tmp_path)


def test_a_teacher_that_nothing_reads_is_reported(cfg, tmp_path, caplog):
    uses = {"model": {"name": "prodlda", "uses": ["soft_labels", "objective"]}, "teacher": {"name": "corpus"}}
    targets = {"objective": {"name": "dsl", "uses": ["soft_labels"]}}
    with caplog.at_level("INFO", "topiclab"):
        run_cell(cfg | uses | targets, tmp_path / "read")
        assert "is not used" not in caplog.text
        run_cell(cfg | uses | {"objective": {"name": "bow", "uses": []}}, tmp_path / "unread")
    assert "teacher=corpus is not used: model=prodlda with objective=bow reads no teacher" in caplog.text


@pytest.mark.parametrize("content", ["", '{"status": "done"', "[]", '{"status": "done"}'])
def test_unreadable_result_is_named(cfg, tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ConfigError, match=r"result\.json is not a readable result"):
        run_cell(cfg, tmp_path)


@pytest.mark.parametrize(
    ("num_topics", "reason"),
    [(cells.RAISES, "ValueError: num_topics=13 brings bad luck"), (cells.EXITS, "SystemExit: the task left")],
)
def test_failure_is_told_and_tried_again(cfg, tmp_path, num_topics, reason):
    for attempt in (1, 2):
        with pytest.raises(CellFailed, match=reason):
            run_cell(cfg | {"num_topics": num_topics}, tmp_path)
        result = json.loads((tmp_path / "result.json").read_text())
        assert (result["status"], result["reason"]) == ("failed", reason)
        assert (tmp_path / "run.log").read_text().count("Traceback") == attempt == attempts(tmp_path)


def test_failed_folder_may_hold_another_configuration_next(cfg, tmp_path):
    write_failure(cfg, tmp_path, "killed by signal 9", 1.0)
    assert run_cell(cfg | {"num_topics": 6}, tmp_path)["status"] == "done"


def test_checkpoints_are_kept_for_the_same_configuration_only(cfg, tmp_path):
    last = tmp_path / "checkpoints" / "last.ckpt"
    cfg["task"]["_target_"] = "cells.interrupted"
    for clip, is_kept in ((0.1, False), (0.1, True), (0.2, False)):
        last.parent.mkdir(exist_ok=True)
        last.touch()
        with pytest.raises(KeyboardInterrupt):
            run_cell(cfg | {"trainer": cfg["trainer"] | {"gradient_clip": clip}}, tmp_path)
        assert last.exists() == is_kept


def test_finished_result_outlives_a_failure(cfg, tmp_path):
    first = run_cell(cfg, tmp_path)
    write_failure(cfg | {"num_topics": 6}, tmp_path, "killed by signal 9", 1.0)
    assert run_cell(cfg, tmp_path) == first


@pytest.mark.parametrize("task", ["interrupted", "interrupted_in_lightning"])
def test_interrupt_leaves_no_result(cfg, tmp_path, task):
    cfg["task"]["_target_"] = f"cells.{task}"
    write_failure(cfg, tmp_path, "killed by signal 9", 1.0)  # from an earlier attempt
    with pytest.raises(KeyboardInterrupt):
        run_cell(cfg, tmp_path)
    assert not (tmp_path / "result.json").exists()


def test_outcome_that_is_no_json_fails_the_cell(cfg, tmp_path, monkeypatch):
    outcome = Outcome(metrics={}, seconds={}, manifest={"model": object()})
    monkeypatch.setattr(cells, "fit", lambda cfg, folder: outcome)
    with pytest.raises(CellFailed, match="TypeError"):
        run_cell(cfg, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "failed"
    assert not list(tmp_path.glob(".result*"))


def test_task_that_cannot_be_imported_fails_the_cell(cfg, tmp_path):
    cfg["task"]["_target_"] = "cells.no_such_task"
    with pytest.raises(CellFailed, match="no_such_task"):
        run_cell(cfg, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "failed"


def test_two_processes_with_one_cell_do_it_once(cfg, tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=run_cell, args=(cfg, tmp_path)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert attempts(tmp_path) == 1
