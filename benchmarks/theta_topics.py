"""THETA by number of topics, against ZeroShotTM and BERTopic: whole processes on the vectors of one cache.

    python benchmarks/theta_topics.py [--rounds 2] [--data stackoverflow] [--embedder minilm]

Each fit is one `python -m topiclab` with one thread, from start to result.json, in turn; vectors, neighbours
and window counts are in the cache before the first, the models' own starts are not. Imports, metrics and
files are in all times. Exits with 1 if THETA at K=100 takes more than 1.5 times the CPU seconds of K=50.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from sides import ONE_THREAD

MODELS, TOPICS = ("theta", "zeroshot_tm", "bertopic"), (25, 50, 75, 100)
MAX_GROWTH = 1.5
Fit = tuple[float, float, dict[str, float]]
SHOWN = ("test/purity", "test/nmi", "npmi_usage", "td")


def fit(folder: Path, model: str, num_topics: int, seed: int, given: list[str]) -> Fit:
    """CPU and wall seconds of one process and the metrics of its cell."""
    line = [f"model={model}", f"num_topics={num_topics}", f"seed={seed}", *given]
    line += [f"paths.outputs={folder}/outputs", f"paths.cache={folder}/cache", f"name={model}{num_topics}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = os.times().elapsed
    command = [sys.executable, "-m", "topiclab", *line]
    subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=True)
    wall = os.times().elapsed - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    (result,) = (folder / "outputs" / f"{model}{num_topics}").glob(f"**/seed{seed}/result.json")
    return cpu, wall, json.loads(result.read_text(encoding="utf-8"))["metrics"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--data", default="stackoverflow")
    parser.add_argument("--embedder", default="minilm")
    options = parser.parse_args()
    given = [f"data={options.data}", f"embedder={options.embedder}"]
    seconds: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in MODELS:  # fills the cache
            fit(folder, model, min(TOPICS), options.rounds, given)
        print(f"{'model':<12}{'K':>5}{'CPU s':>8}{'wall s':>8}" + "".join(f"{each:>13}" for each in SHOWN))
        for seed in range(options.rounds):
            for num_topics in TOPICS:
                for model in MODELS:
                    cpu, wall, metrics = fit(folder, model, num_topics, seed, given)
                    seconds.setdefault((model, num_topics), []).append(cpu)
                    scores = "".join(f"{metrics[each]:13.3f}" for each in SHOWN)
                    print(f"{model:<12}{num_topics:>5}{cpu:8.1f}{wall:8.1f}{scores}", flush=True)
    times = {key: median(values) for key, values in seconds.items()}
    for rival in MODELS[1:]:
        ratios = ", ".join(f"{times['theta', k] / times[rival, k]:.2f}" for k in TOPICS)
        print(f"theta / {rival} at K={', '.join(map(str, TOPICS))}: {ratios}")
    growth = times["theta", 100] / times["theta", 50]
    print(f"theta at K=100 / K=50: {growth:.2f} (at most {MAX_GROWTH})")
    return int(growth > MAX_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
