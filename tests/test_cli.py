import subprocess
import sys

import pytest
from places import PYTHONPATH

from topiclab.report.__main__ import main as report
from topiclab.runs.command import multirun_first

HEAVY = ("torch", "lightning", "transformers", "wandb", "scipy", "sklearn", "numba")


@pytest.fixture
def topiclab(tmp_path, monkeypatch):
    """Run `python -m topiclab` in an empty folder with tasks that need no torch."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)

    def run(*line, options=(), **more):
        command = [sys.executable, *options, "-m", "topiclab", *line]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, **more)

    return run


def imported(stderr: str) -> set[str]:
    """Top-level modules listed by -X importtime."""
    lines = [line for line in stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}


def test_help_beside_flags_with_values(topiclab):
    done = topiclab("-cd", "experiments", "-cn", "foundation/lsa", "num_topics=7", "--help")
    assert (done.returncode, "  num_topics: 7" in done.stdout) == (0, True), done.stderr


def test_help_shows_groups_keys_and_examples_without_torch(topiclab):
    done = topiclab("--help", options=["-X", "importtime"])
    assert done.returncode == 0
    for words in ("model: ", "prodlda", "embedder: ", "minilm", "num_topics: 50", "jobs: 1", "Examples"):
        assert words in done.stdout
    assert "hydra" in imported(done.stderr)
    assert not imported(done.stderr) & set(HEAVY)


def test_faulty_line_exits_2_before_torch_and_writes_nothing(topiclab, tmp_path):
    done = topiclab("num_topics=0,5", "-m", "seed=-1", options=["-X", "importtime"])
    told = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert [line.split(" is refused")[0] for line in told] == ["num_topics=0", "seed=-1"]
    assert not imported(done.stderr) & set(HEAVY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["model=thetta"], "did you mean model=theta?"),
        (["num_topics=0"], "num_topics=0 is refused"),
        (["num_topic=5,6", "-m"], "did you mean num_topics?"),
    ],
)
def test_typo_is_one_line(topiclab, tmp_path, line, told):
    done = topiclab(*line)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_full_error_shows_the_trace(topiclab, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in topiclab("num_topic=5").stderr


def test_run_is_laid_by_its_choices_reused_and_guarded(topiclab, tmp_path):
    line = [
        "task._target_=cells.fit",
        "num_topics=5",
        "data.vocabulary.min_df=3",
        "paths.outputs=runs",
        "name=mine",
    ]
    folder = tmp_path / "runs/mine/lee/theta/lsa-zero_shot/bow/K5/data.vocabulary.min_df=3/seed0"
    done = topiclab(*line)
    assert done.returncode == 0, done.stderr
    assert {"result.json", "run.log", ".hydra", "attempts"} <= {path.name for path in folder.iterdir()}
    again = topiclab(*line)
    assert (again.returncode, "reused" in again.stdout) == (0, True)
    assert (folder / "attempts").read_text().count("\n") == 1
    standing = (folder / ".hydra" / "config.yaml").read_text()
    other = topiclab(*line, "embedder=random", "embedder.name=lsa")
    assert (other.returncode, "another configuration: embedder." in other.stderr) == (2, True)
    assert (folder / ".hydra" / "config.yaml").read_text() == standing


def test_flag_between_overrides_starts_a_grid(topiclab):
    line = "model=theta embedder=qwen4b -m num_topics=25,50,75,100"
    done = topiclab("task._target_=cells.fit", *line.split())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "4 done"


def test_failed_run_exits_1_with_its_reason(topiclab):
    done = topiclab("task._target_=cells.fit", "num_topics=13")
    assert done.returncode == 1
    assert "ValueError: num_topics=13 brings bad luck" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("model=theta -m num_topics=25,50", "-m model=theta num_topics=25,50"),
        ("--multirun a=1", "--multirun a=1"),
        ("a=1 -cn x b=2", "a=1 -cn x b=2"),
        ("", ""),
    ],
)
def test_multirun_flag_moves_to_the_front(given, wanted):
    assert multirun_first(given.split()) == wanted.split()


def test_report_without_a_name_tells_which_there_are(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert report(["--outputs", str(tmp_path)]) == 2
    assert "give the name of an experiment" in (told := capsys.readouterr().err)
    assert "mine" in told
