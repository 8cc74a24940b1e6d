import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import PYTHONPATH

BASE = "outputs/default/lee/theta/lsa-zero_shot/bow"


def hear_interrupts():
    """Stop ignoring SIGINT, as processes do that a shell starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start `python -m topiclab -m` in an empty folder with tasks that need no torch."""
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)

    def begin(*line, python=("-m", "topiclab")):
        command = [sys.executable, *python, "task._target_=cells.fit", "-m", *line]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            command, cwd=tmp_path, text=True, start_new_session=True, preexec_fn=hear_interrupts, **pipes
        )

    return begin


@pytest.fixture
def sweep(start):
    def run(*line, **how):
        process = start(*line, **how)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return run


def result(tmp_path, num_topics, seed=0):
    return json.loads((tmp_path / BASE / f"K{num_topics}/seed{seed}/result.json").read_text())


def table(out):
    """Parse the last lines of a sweep: {label: status}."""
    rows = [line.split() for line in out.splitlines() if line.startswith("num_topics=")]
    return {row[0].split("=")[1]: row[1] for row in rows}


def pids(tmp_path, *cells):
    """Process id of each cell."""
    return [(tmp_path / BASE / f"K{num_topics}/seed0/attempts").read_text().strip() for num_topics in cells]


def test_failing_cell_stops_no_other_and_is_told(sweep, tmp_path):
    code, out, _ = sweep("num_topics=5,13,6")
    assert code == 1
    assert table(out) == {"5": "done", "13": "failed", "6": "done"}
    assert "ValueError: num_topics=13 brings bad luck" in out
    assert out.splitlines()[-1] == "2 done, 1 failed"
    code, out, _ = sweep("num_topics=5,6,7")
    assert code == 0
    assert table(out) == {"5": "reused", "6": "reused", "7": "done"}


def test_failing_and_dying_cells_of_a_pool_take_no_other_along(sweep, tmp_path):
    reasons = {9: "killed by signal 9", 11: "killed by signal 11", 13: "ValueError", 18: "exit code 1, see"}
    code, out, _err = sweep("num_topics=5,9,11,13,18,6", "grid.jobs=2")
    assert code == 1
    failed = {str(num_topics): "failed" for num_topics in reasons}
    assert table(out) == {"5": "done", **failed, "6": "done"}
    for num_topics, reason in reasons.items():
        assert result(tmp_path, num_topics)["reason"].startswith(reason)
        assert reason in out
    assert len(set(pids(tmp_path, *reasons))) == len(reasons)
    assert "Segmentation fault" in (tmp_path / BASE / "K11/seed0/run.log").read_text()
    (last,) = [line for line in out.splitlines() if line.startswith("[6/6]")]
    assert last.endswith(" elapsed, 4 failed)")


def test_workers_take_cell_after_cell_and_write_to_the_run_log_of_each(sweep, tmp_path):
    cells = (5, 6, 7, 8)
    code, out, err = sweep("num_topics=5,6,7,8", "grid.jobs=2")
    assert (code, err) == (0, "")
    assert len(set(pids(tmp_path, *cells))) <= 2 < len(cells)
    assert len([line for line in out.splitlines() if "about 0:00:0" in line and " left)" in line]) == 3
    for num_topics in cells:
        said = (tmp_path / BASE / f"K{num_topics}/seed0/run.log").read_text()
        assert said.count("speaks") == said.count(f"cell {num_topics} speaks") == 1
        assert said.count("done in") == 1
    assert "speaks" not in out
    assert result(tmp_path, 5)["manifest"]["cwd"] == str(tmp_path)
    threads = int(result(tmp_path, 5)["manifest"]["threads"])
    assert threads <= max(1, len(os.sched_getaffinity(0)) // 2)


def test_worker_that_outgrew_its_share_is_replaced(sweep, tmp_path):
    program = (
        "from topiclab.runs import launcher; launcher.SHARE_FOR_CELLS = 0;"
        "from topiclab.__main__ import main; main()"
    )
    code, _out, err = sweep("num_topics=5,6,7", "grid.jobs=2", python=("-c", program))
    assert (code, err) == (0, "")
    assert len(set(pids(tmp_path, 5, 6, 7))) == 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupt_stops_the_cells_and_tells_what_is_done(start, tmp_path, jobs):
    process = start("num_topics=5,600,601", f"grid.jobs={jobs}")
    slow = tmp_path / BASE / "K600/seed0/attempts"
    deadline = time.monotonic() + 60
    while not (slow.exists() and (tmp_path / BASE / "K5/seed0/result.json").exists()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert table(out)["5"] == "done"
    assert out.splitlines()[-1].count("not run")
    assert "the same line resumes" in err
    assert not (tmp_path / BASE / "K600/seed0/result.json").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(slow.read_text()), 0)


def test_cells_end_with_a_parent_that_was_killed(start, tmp_path):
    process = start("num_topics=600,601", "grid.jobs=2")
    slow = tmp_path / BASE / "K600/seed0/attempts"
    deadline = time.monotonic() + 60
    while not slow.exists() or not slow.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    while time.monotonic() < deadline and Path(f"/proc/{slow.read_text().strip()}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{slow.read_text().strip()}").exists()


LDA = "outputs/default/lee/lda"


@pytest.mark.parametrize("jobs", [1, 2])
def test_cells_that_differ_in_what_they_do_not_read_are_one_fit(sweep, tmp_path, jobs):
    line = ("model=lda", "embedder=lsa,random", f"grid.jobs={jobs}")
    first, other = (tmp_path / LDA / f"{name}-zero_shot/bow" for name in ("lsa", "random"))
    code, out, _ = sweep(*line, "num_topics=5,13")
    assert code == 1
    assert out.splitlines()[-1] == "2 done, 2 failed"
    assert f"the same fit as {LDA}/lsa-zero_shot/bow/K5/seed0: model=lda reads no vectors" in out
    assert len((first / "K5/seed0/attempts").read_text().split()) == 1
    copied = json.loads((other / "K5/seed0/result.json").read_text())
    assert copied["config"]["embedder"]["name"] == "random"
    assert copied["manifest"]["copy_of"] == f"{LDA}/lsa-zero_shot/bow/K5/seed0"
    failed = json.loads((other / "K13/seed0/result.json").read_text())
    assert failed["reason"].startswith("the same fit as")
    assert "num_topics=13 brings bad luck" in failed["reason"]
    assert not (other / "K13/seed0/attempts").exists()
    code, out, _ = sweep("model=lda", "embedder=lsa,random,precomputed", "num_topics=5")
    assert (code, out.splitlines()[-1]) == (0, "2 reused, 1 done")


def test_two_cells_of_one_folder_are_refused(sweep, tmp_path):
    code, _, err = sweep("num_topics=5", "trainer.device=cpu,auto")
    assert code == 2, err
    assert "2 cells of this sweep would share" in err
    assert list(tmp_path.iterdir()) == []


def test_processes_and_sweeps_are_refused_together(sweep, tmp_path):
    code, _, err = sweep("num_topics=5,6", "trainer.devices=2")
    assert code == 2, err
    assert "trainer.devices=2 in a sweep" in err
    assert list(tmp_path.iterdir()) == []


def test_joblib_launches_checked_cells_and_the_table_ends_them(sweep, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    code, out, err = sweep("num_topics=5,13", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert (code, table(out)) == (1, {"5": "done", "13": "failed"}), err
