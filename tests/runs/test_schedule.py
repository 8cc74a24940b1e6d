"""The schedule: a worker's next cell, the time left, and the number of workers."""

import itertools
import random

import pytest

from topiclab import machine
from topiclab.runs import launcher as pool
from topiclab.runs import progress
from topiclab.runs.cell import Cell, labels_of
from topiclab.runs.launcher import jobs_for
from topiclab.runs.progress import Progress
from topiclab.runs.schedule import Schedule


def takes(schedule, *workers):
    return [schedule.take(worker) for worker in workers]


def test_worker_keeps_to_its_group_and_then_helps_another():
    schedule = Schedule([(data,) for data in "aababbab"])
    assert takes(schedule, 0, 1, 0, 0, 0) == [0, 2, 1, 3, 6]
    assert takes(schedule, 0, 1, 0) == [4, 5, 7]
    assert not schedule
    with pytest.raises(KeyError, match="no cell waits"):
        schedule.take(0)


def test_worker_goes_on_with_the_same_corpus():
    groups = [("a", "lsa"), ("b", "lsa"), ("b", "minilm"), ("b", "minilm"), ("b", "minilm"), ("a", "minilm")]
    schedule = Schedule(groups)
    assert schedule.take(0) == 2  # the longest comes first
    assert takes(schedule, 1, 1) == [0, 5]
    schedule.leave(1)
    assert takes(schedule, 1, 0, 0) == [1, 3, 4]


def test_workers_spread_over_what_waits():
    schedule = Schedule([("a",)] * 9 + [("b",)] * 3)
    assert sorted(takes(schedule, 0, 1, 2, 3)) == [0, 1, 2, 9]


@pytest.mark.parametrize("seed", range(5))
def test_every_cell_is_taken_once(seed):
    draw = random.Random(seed)
    groups = [(draw.choice("abc"), draw.choice("xy")) for _ in range(50)]
    schedule, taken = Schedule(groups), []
    while schedule:
        worker = draw.randrange(4)
        taken.append(schedule.take(worker))
        if draw.random() < 0.1:
            schedule.leave(worker)
    assert sorted(taken) == list(range(50))


@pytest.fixture
def clock(monkeypatch):
    times = itertools.count(100, 10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))


def test_time_left_is_of_cells_of_the_same_kind(clock):
    told = Progress(["one", "two", "three", "four", "five"], ["a", "a", "a", "b", "b"], jobs=2)
    assert told.seconds_left() is None
    assert told.ended(0, False, 1.0) == "[1/5] one  failed  1.0 s  (0:00:10 elapsed, 1 failed)"
    line = told.ended(1, True, 8.0)
    assert line == "[2/5] two  done  8.0 s  (0:00:20 elapsed, about 0:00:12 left, 1 failed)"
    told.ended(3, True, 60.0)
    assert told.seconds_left() == (8 + 60) / 2
    told.ended(2, True, 4.0)
    assert told.seconds_left() == 60
    assert told.ended(4, True, 60.0) == "[5/5] five  done  60.0 s  (0:00:50 elapsed, 1 failed)"


def cells(count, device="cpu", num_threads=1):
    cfg = {"trainer": {"device": device, "num_threads": num_threads}}
    return [Cell((f"seed={number}",), cfg, None) for number in range(count)]


@pytest.mark.parametrize(
    ("given", "jobs"),
    [
        ({}, 8),
        ({"count": 3}, 3),
        ({"num_threads": 4}, 2),
        ({"num_threads": 16}, 1),
        ({"memory": 7}, 3),
        ({"memory": 1}, 1),
        ({"gpus": ["0"]}, 8),
        ({"gpus": ["0"], "device": "auto"}, 4),
        ({"gpus": ["0", "1"], "device": "cuda"}, 8),
    ],
)
def test_automatic_jobs_are_what_the_machine_takes(given, jobs, monkeypatch):
    given = {"count": 40, "memory": 100, "gpus": [], "device": "cpu", "num_threads": 1} | given
    monkeypatch.setattr(pool, "num_cores", lambda: 8)
    monkeypatch.setattr(pool, "memory_bytes", lambda: given["memory"] * 2**30)
    monkeypatch.setattr(pool, "visible_gpus", lambda: given["gpus"])
    monkeypatch.setattr(pool, "gpu_bytes", lambda: 8 * 2**30)
    grid = cells(given["count"], given["device"], given["num_threads"])
    assert jobs_for("auto", grid) == jobs
    assert jobs_for(5, grid) == 5


@pytest.mark.parametrize(
    ("files", "cores", "gib"),
    [
        ({}, 8, 64),
        ({"cpu.max": "max 100000", "memory.max": "max"}, 8, 64),
        ({"cpu.max": "250000 100000", "memory.max": f"{2**32}"}, 2, 4),
        ({"cpu.max": "50000 100000"}, 1, 64),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, 64),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3, 64),
    ],
)
def test_a_container_has_what_it_is_given(files, cores, gib, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: range(8), raising=False)
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PHYS_PAGES": 2**24, "SC_PAGE_SIZE": 2**12}.get)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert (machine.num_cores(), machine.memory_bytes()) == (cores, gib * 2**30)


def test_labels_say_what_differs():
    assert labels_of([["a=1", "b=2"], ["a=1", "b=3"]]) == ["b=2", "b=3"]
    assert labels_of([["a=1"]]) == ["a=1"]
