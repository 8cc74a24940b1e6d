"""Seconds until topiclab answers, against importing torch and lightning: python benchmarks/startup.py

Prints the median wall and CPU seconds of each command over --repeats runs in turn, and the ratio of CPU
seconds to those of the last command.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "topiclab --help": ["-m", "topiclab", "--help"],
    "topiclab num_topic=5 (typo)": ["-m", "topiclab", "num_topic=5"],
    "topiclab num_topics=0 (refused)": ["-m", "topiclab", "num_topics=0"],
    "topiclab -m, 8 cells, one refused": ["-m", "topiclab", "-m", "num_topics=0,5,6,7", "seed=0,1"],
    "import topiclab": ["-c", "import topiclab"],
    "import torch, lightning": ["-c", "import torch, lightning"],
}


def seconds(arguments: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of one Python process."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            runs[name].append(seconds(arguments))
    median = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)]
        for name, pairs in runs.items()
    }
    _, reference = median["import torch, lightning"]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, median of {repeats}")
    print(f"{'':36}{'wall s':>8}{'CPU s':>8}{'CPU ratio':>11}")
    for name, (wall, cpu) in median.items():
        print(f"{name:36}{wall:8.2f}{cpu:8.2f}{cpu / reference:11.2f}")


if __name__ == "__main__":
    main()
