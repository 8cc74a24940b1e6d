"""Cells per minute of the grid dsl_offline_main, and the projected time of a whole paper's 4,075 fits.

    python benchmarks/dsl_grid.py [--data tweet_topic] [--jobs 2] [GROUP=OPTION KEY=VALUE ...]

The same cells are run in four ways: each as its own command, one after another in one process, each in a
process forked for it, and by workers that keep their corpus. A first pass of one epoch fills the caches. The
projection uses the cells after each worker's first, which loads the corpus, and the time to compose and check
a cell. CPU seconds are those of all processes of a way (Linux). Overrides are those of `python -m topiclab`.
Exits with 1 unless workers take fewer CPU seconds per cell than separate commands and than one process per
cell.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from statistics import mean

from sides import BENCHMARKS, ONE_THREAD

REPO = BENCHMARKS.parent
PAPER_FITS = 4075
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
LINE = ["-cd", str(REPO / "experiments"), "-cn", "dsl/offline_main"]
FORKED = (
    "from topiclab.runs import launcher; launcher.SHARE_FOR_CELLS = 0;"
    "from topiclab.__main__ import main; main()"
)
COMPOSED = """
import time
from topiclab.__main__ import main
from topiclab.runs.sweeper import GridSweeper
compose, GridSweeper._launch = GridSweeper._compose_cells, lambda self, cells: None
def timed(self, arguments):
    start = time.perf_counter()
    cells = compose(self, arguments)
    print("composed", len(cells), "in", time.perf_counter() - start)
    return cells
GridSweeper._compose_cells = timed
main()
"""


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of a way; seconds: of each cell, in order of completion."""

    wall: float
    cpu: float
    seconds: list[float]


def run(*command: str) -> Cost:
    """Run Python until its last process ends; raises RuntimeError with its output when it fails."""
    before, start = os.times(), time.perf_counter()
    ran = python(*command)
    wall = time.perf_counter() - start
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout[-3000:]}")
    with suppress(ChildProcessError):  # the workers' server, which this process adopts as an orphan
        while True:
            os.waitpid(-1, 0)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    seconds = re.findall(r"^\[\d+/\d+\].*  done  ([\d.]+) s", ran.stdout, re.MULTILINE)
    return Cost(wall, cpu, [float(second) for second in seconds])


def python(*command: str) -> subprocess.CompletedProcess[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    environment = {**os.environ, **ONE_THREAD}
    return subprocess.run(
        [sys.executable, *command], cwd=REPO, env=environment, text=True, check=False, **pipes
    )


def seconds_to_compose() -> float:
    """Seconds to compose and check one cell of a long sweep, of which nothing is run."""
    ran = python("-c", COMPOSED, *LINE, 'hydra.sweeper.params.seed="range(20)"', "name=composed")
    found = re.search(r"composed (\d+) in ([\d.]+)", ran.stdout)
    if found is None:
        raise RuntimeError(ran.stdout[-3000:])
    return float(found[2]) / int(found[1])


def measure(swept: dict[str, str], fixed: list[str], jobs: int, num_lines: int) -> dict[str, Cost]:
    """Cost of every way; for separate commands, of the first num_lines cells only."""
    values = itertools.product(*(values.split(",") for values in swept.values()))
    cells = [[f"{key}={value}" for key, value in zip(swept, chosen, strict=True)] for chosen in values]
    grid = [*LINE, *fixed, *(f'hydra.sweeper.params.{key}="{values}"' for key, values in swept.items())]
    run("-m", "topiclab", *grid, "name=filled", "trainer.max_epochs=1")
    costs = {}
    for way, command in {
        "workers": ["-m", "topiclab", *grid, f"grid.jobs={jobs}"],
        "a process a cell": ["-c", FORKED, *grid, f"grid.jobs={jobs}"],
        "one process": ["-m", "topiclab", *grid],
    }.items():
        costs[way] = run(*command, f"name={way.replace(' ', '-')}")
    one = ["-m", "topiclab", *LINE, *fixed, "hydra.mode=RUN", "name=line"]
    lines = [run(*one, *cell) for cell in cells[:num_lines]]
    walls = [line.wall for line in lines]
    costs["lines"] = Cost(sum(walls), sum(line.cpu for line in lines), walls)
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="tweet_topic")
    parser.add_argument("--teachers", default="neighbours,corpus")
    parser.add_argument("--topics", default="25,50")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--lines", type=int, default=2, help="cells that are run as separate commands")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    if ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0):
        raise OSError("prctl failed, so the CPU seconds of workers cannot be counted here")
    swept = {"data": options.data, "teacher": options.teachers}
    swept |= {"num_topics": options.topics, "seed": options.seeds}
    composing = seconds_to_compose()
    with tempfile.TemporaryDirectory() as folder:
        fixed = [f"paths.outputs={folder}", "trainer.device=cpu", *options.overrides]
        costs = measure(swept, fixed, options.jobs, options.lines)
    return judge(costs, options.jobs, composing)


def judge(costs: dict[str, Cost], jobs: int, composing: float) -> int:
    """Print the table and the projection; return 1 when workers cost more than allowed."""
    print(f"{jobs} at a time (one process and lines: one), one thread each")
    print(f"{'way':<18}{'cells':>6}{'wall s':>8}{'cells/min':>11}{'CPU s/cell':>14}")
    for way, cost in costs.items():
        count = len(cost.seconds)
        print(f"{way:<18}{count:6}{cost.wall:8.1f}{60 * count / cost.wall:11.1f}{cost.cpu / count:14.2f}")
    later = mean(costs["workers"].seconds[jobs:])
    hours = PAPER_FITS * (later / jobs + composing) / 3600
    print(f"composing and checking a cell: {1000 * composing:.1f} ms, all: {PAPER_FITS * composing:.0f} s")
    print(f"a cell after a worker's first: {later:.2f} s, {60 * jobs / later:.1f} cells/min")
    print(f"{PAPER_FITS} fits: {hours:.1f} hours")
    each = {way: cost.cpu / len(cost.seconds) for way, cost in costs.items()}
    return int(not each["workers"] < min(each["a process a cell"], each["lines"]))


if __name__ == "__main__":
    sys.exit(main())
