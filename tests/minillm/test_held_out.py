"""Documents that a language model was trained on, against those that a cell that reads it holds out."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tiny_minillm import save_run

from topiclab.config.compose import compose
from topiclab.minillm.held_out import check_held_out
from topiclab.runs.run import CellFailed, run_cell


def shares(val: float, test: float) -> list[str]:
    return [f"data.split.val={val}", f"data.split.test={test}"]


def trained(folder: Path, *overrides: str, **facts: object) -> str:
    """Folder of a run that was trained with these options of data; facts: of its configuration."""
    folder.mkdir(parents=True)
    config = {"task": {"name": "pretrain"}, "data": compose(list(overrides))["data"], **facts}
    (folder / "result.json").write_text(json.dumps({"status": "done", "config": config}))
    return str(folder)


def check(run: str, *overrides: str) -> None:
    check_held_out(run, "teacher.run", compose(list(overrides))["data"])


def test_a_model_that_held_out_less_is_refused(tmp_path: Path) -> None:
    text = trained(tmp_path / "text", "data=text", *shares(0.02, 0.02))
    with pytest.raises(
        ValueError, match=r"teacher\.run=.*documents of stackoverflow that .* data\.split\.val=0\.1 "
    ):
        check(text, "data=stackoverflow")
    with pytest.raises(ValueError, match="documents of lee"):
        check(
            trained(tmp_path / "lee", "data=lee", *shares(0.2, 0.05)), "data=lee"
        )  # of test less, of both more
    check(text, "data=stackoverflow", *shares(0.02, 0.02))
    check(trained(tmp_path / "same", "data=text"), "data=stackoverflow")
    check(trained(tmp_path / "more", "data=lee", *shares(0.0, 0.3)), "data=lee", *shares(0.2, 0.1))


def test_every_run_that_a_model_continues_counts(tmp_path: Path) -> None:
    first = trained(tmp_path / "first", "data=lee", *shares(0.02, 0.02))
    second = trained(tmp_path / "second", "data=lee", run=first)
    with pytest.raises(ValueError, match="documents of lee"):
        check(second, "data=lee")
    chats = trained(tmp_path / "chats", "data=lee", *shares(0.02, 0.02), finetune={"path": "chat.jsonl"})
    check(chats, "data=lee")  # of which it read no document


def test_other_texts_are_held_out_by_another_split(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", "data=20newsgroups", "data.remove=[]")
    with pytest.raises(ValueError, match=r"differ by data\.remove=\[\] there and \['headers'"):
        check(whole, "data=20newsgroups")
    (tmp_path / "posts.csv").write_text("text,title\na,b\n")
    own = [f"data.path={tmp_path}/posts.csv", "data=file"]
    titles = trained(tmp_path / "titles", *own, "data.text_column=title")
    with pytest.raises(ValueError, match=r"data\.text_column=title there"):
        check(titles, *own)


def test_another_corpus_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    check(trained(tmp_path / "run", "data=lee", *shares(0.0, 0.0)), "data=stackoverflow")
    assert "trained on no corpus of data=stackoverflow by name; not compared" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        ["task=finetune", "run={run}"],
        ["task=keywords", "run={run}"],
        ["model=prodlda", "objective=dsl", "teacher=minillm", "teacher.run={run}", "num_topics=3"],
        ["model=kmeans", "embedder=minillm", "embedder.run={run}", "num_topics=3"],
    ],
    ids=["finetune", "keywords", "teacher", "embedder"],
)
def test_every_reader_refuses(line: list[str], tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    result["config"]["data"] = compose(["data=lee", *shares(0.02, 0.02)])["data"]
    (run / "result.json").write_text(json.dumps(result))
    options = [word.format(run=run) for word in line]
    cfg = compose([*options, "data=lee", "data.sample=40", f"paths.cache={tmp_path}/cache"])
    with pytest.raises(CellFailed, match="documents of lee that this cell holds out"):
        run_cell(cfg, tmp_path / "cell")
