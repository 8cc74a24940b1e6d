"""Whatever is wrong with a line, or with the place it writes to, ends in one line and no traceback."""

import json
import subprocess
import sys

import pytest
from places import PYTHONPATH

FOLDER = "outputs/default/lee/theta/lsa-zero_shot/bow/K5/seed0"


@pytest.fixture
def line(tmp_path, monkeypatch):
    """Run a command line in an empty folder, with tasks that need no torch."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)

    def run(*arguments, python=("-m", "topiclab"), **more):
        command = [sys.executable, *python, "task._target_=cells.fit", "num_topics=5", *arguments]
        how = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120} | more
        return subprocess.run(command, **how)

    return run


def check_refused(done, *told):
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for words in told:
        assert words in done.stderr
    assert len([text for text in done.stderr.splitlines() if not text.startswith("Error executing")]) == 1


def test_outputs_that_cannot_be_written_are_told(line, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for outputs in ("/proc/x", "file", "file/x", "dangling", 300 * "x"):
        check_refused(line(f"paths.outputs={outputs}"), outputs, "give a")
    check_refused(line("-m", "seed=0,1", "paths.outputs=/proc/x"), "give a folder that may be written")


@pytest.mark.parametrize("name", [".lock", "result.json", "run.log"])
def test_a_folder_where_a_file_belongs_is_told(line, tmp_path, name):
    (tmp_path / FOLDER / name).mkdir(parents=True)
    check_refused(line(), f"{FOLDER}/{name}", "Is a directory")


def test_nested_json_is_told(line, tmp_path):
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "result.json").write_text(200_000 * "[")
    check_refused(line(), "is not a readable result")
    check_refused(line("-m", "seed=0,1"), "is not a readable result")


def test_a_folder_that_is_gone_is_told(line, tmp_path):
    (tmp_path / "gone").mkdir()
    how = {"cwd": tmp_path / "gone", "preexec_fn": lambda: (tmp_path / "gone").rmdir()}
    check_refused(line(**how), "is gone")


def test_nothing_is_written_outside_the_outputs(line, tmp_path):
    check_refused(line("hydra.sweep.subdir=../../../y"), "leads out of outputs/default")
    check_refused(line("-m", "seed=0,1", "hydra.sweep.subdir=../../../y"), "leads out of outputs/default")
    done = line("reference.words=/dev/null", "data.vocabulary.token_pattern=../../../../../../../../../../y")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("outputs/**/result.json")
    assert json.loads(path.read_text())["status"] == "done"
    assert [child.name for child in tmp_path.iterdir()] == ["outputs"]
    assert not (tmp_path.parent / "y").exists()


def test_many_and_long_overrides_have_a_folder(line, tmp_path):
    many = f"select_k.candidates=[{','.join(map(str, range(2, 200)))}]"
    for _ in range(2):
        done = line(many, "data.vocabulary.min_df=3", "name=" + 300 * "n")
        assert done.returncode == 0, done.stderr
    assert "reused" in done.stdout
    (path,) = tmp_path.glob("outputs/**/result.json")
    assert many in (path.parent / ".hydra/overrides.yaml").read_text()
    assert max(len(part) for part in path.parts) < 140


def test_help_into_a_pipe_that_closes_is_silent(line):
    script = f"{sys.executable} -m topiclab --help | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_an_interrupt_while_hydra_is_imported_exits_with_130(line):
    program = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'hydra': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from topiclab.__main__ import main\n"
        "main()"
    )
    done = line(python=("-c", program))
    assert (done.returncode, "the same line resumes" in done.stderr) == (130, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("failing", "lost"), [((0,), 0), ((0, 1), 1), ((1, 2), 1)])
def test_a_worker_that_does_not_start_costs_one_cell_at_most(line, tmp_path, failing, lost):
    program = (
        "from topiclab.runs import worker\n"
        "from topiclab.__main__ import main\n"
        "made, tries = worker.Worker, []\n"
        "def start(*arguments):\n"
        "    tries.append(0)\n"
        f"    if len(tries) - 1 in {failing}: raise EOFError('unexpected EOF')\n"
        "    return made(*arguments)\n"
        "worker.Worker = start\n"
        "main()"
    )
    again = ("-m", "seed=0,1,2,3", "grid.jobs=2")
    done = line(*again, python=("-c", program))
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if lost else 0), done.stderr
    wanted = {f"{4 - lost} done", f"{lost} failed"} - {"0 failed"}
    assert set(done.stdout.splitlines()[-1].split(", ")) == wanted
    assert line(*again).returncode == 0
