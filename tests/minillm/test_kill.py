"""kill -9 in a language model's training, then the same line again: equal bits, no round logged twice."""

import json
import os
import signal
import subprocess
import sys

import pytest
from places import REPO

from topiclab.config.compose import compose
from topiclab.runs.run import run_cell

SMALL = [
    "task=pretrain",
    "model=minillm/nano",
    "model.dropout=0.1",
    "model.shape.num_layers=1",
    "model.shape.hidden_size=64",
    "model.shape.ffn_size=64",
    "model.shape.vocab_size=400",
    "pretrain.length=64",
    "pretrain.tokens_per_step=512",
    "pretrain.eval_rows=8",
    "pretrain.eval_steps=4",
    "pretrain.passes=6",
    "pretrain.samples=[purring]",
]
TUNED = [
    "task=finetune",
    "finetune.length=64",
    "finetune.tokens_per_step=512",
    "finetune.eval_steps=4",
    "finetune.eval_rows=8",
    "finetune.passes=1",
    "finetune.dropout=0.1",
    "finetune.num_questions=4",
]
HALF_SAVED = """
import os, signal, sys
from pathlib import Path

import lightning as L

from topiclab.config.compose import compose
from topiclab.runs.run import run_cell

name, folder, *overrides = sys.argv[1:]
save = L.Trainer.save_checkpoint


def half_saved(trainer, path, **options):
    save(trainer, path, **options)
    if Path(path).name.startswith(name) and len(trainer.lightning_module.history) == 3:
        os.truncate(path, 2000)
        os.kill(os.getpid(), signal.SIGKILL)


L.Trainer.save_checkpoint = half_saved
run_cell(compose(overrides), Path(folder))
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Overrides of each task, the second on the run of the first, and both runs uninterrupted."""
    folder = tmp_path_factory.mktemp("straight")
    words = {"cats": "purring whiskers kitten", "cars": "engine wheel driver"}
    records = [{"text": f"{words[name]} number {row}", "label": name} for row in range(150) for name in words]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, records)))
    shared = [
        "data=file",
        f"data.path={folder}/texts.jsonl",
        "data.label_column=label",
        f"paths.cache={folder}/cache",
        "trainer.device=cpu",
        "trainer.precision=fp32",
        "trainer.num_threads=1",
        "trainer.checkpoint_seconds=0",
    ]
    overrides = {
        "pretrain": [*shared, *SMALL],
        "finetune": [*shared, *TUNED, "finetune.kinds=[label]", f"run={folder}/pretrain"],
    }
    for task, given in overrides.items():
        run_cell(compose(given), folder / task)
    return overrides, folder


@pytest.mark.parametrize(("task", "name"), [("pretrain", "best.ckpt"), ("finetune", "last.ckpt")])
def test_a_run_killed_in_its_third_checkpoint_ends_as_if_it_was_not(task, name, lines, tmp_path, caplog):
    overrides, straight = lines[0][task], lines[1] / task
    command = [sys.executable, "-c", HALF_SAVED, name, str(tmp_path), *overrides]
    job = subprocess.run(command, cwd=REPO, env=os.environ | {"PYTHONPATH": str(REPO)}, capture_output=True)
    assert job.returncode == -signal.SIGKILL, job.stderr.decode()
    assert not (tmp_path / "result.json").exists()
    assert [entry["step"] for entry in history_of(tmp_path)] == [4, 8]
    assert (tmp_path / "samples.txt").read_text().count("step ") == 3
    with caplog.at_level("INFO"):
        run_cell(compose(overrides), tmp_path)
    assert "resuming from" in caplog.text
    assert not list(tmp_path.rglob("*.tmp"))  # the half-saved checkpoint is gone
    assert len(history_of(tmp_path)) > 3
    assert history_of(tmp_path) == history_of(straight)
    for written in ("export/model.safetensors", "samples.txt"):
        assert (tmp_path / written).read_bytes() == (straight / written).read_bytes()


def history_of(folder):
    """Training history without its speed."""
    history = json.loads((folder / "training_history.json").read_text())
    return [{name: entry[name] for name in entry if name != "tokens_per_second"} for entry in history]
