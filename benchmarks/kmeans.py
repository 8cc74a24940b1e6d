"""k-means of 48,000 x 384, K=50: topiclab against scikit-learn, in turn in one process.

    python benchmarks/kmeans.py [--rounds 5] [--vectors vectors.npy] [--faiss]

Vectors are a mixture of 200 overlapping groups unless --vectors names a file, such as one that task=embed
leaves in the cache. Each round is a seed; sides: scikit-learn's KMeans (n_init=1, k-means++, its defaults),
topiclab in full passes and in mini-batches of 1024; with --faiss also faiss's Kmeans. The number of threads
is OMP_NUM_THREADS. Exits with 1 unless full passes are as fast in wall and CPU time at a mean inertia at most
0.5 % higher, and mini-batches within 1 % of it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from meter import Meter

NUM_DOCS, DIM, NUM_GROUPS, NUM_CLUSTERS = 48_000, 384, 200, 50
MIN_SPEEDUP, MAX_EXCESS, MAX_BATCH_EXCESS = 1, 0.005, 0.01
Side = Callable[[np.ndarray, int], tuple[float, int]]  # (vectors, seed) -> (inertia, iterations)


def mixture() -> np.ndarray:
    """Unit vectors around centres of which a few lie close to each other, sizes uneven as topics are."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((NUM_GROUPS, DIM)) + 2 * rng.standard_normal((20, DIM)).repeat(10, axis=0)
    groups = rng.choice(NUM_GROUPS, NUM_DOCS, p=rng.dirichlet(np.ones(NUM_GROUPS)))
    vectors = centres[groups] + 3 * rng.standard_normal((NUM_DOCS, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def scikit_learn(vectors: np.ndarray, seed: int) -> tuple[float, int]:
    from sklearn.cluster import KMeans

    found = KMeans(NUM_CLUSTERS, n_init=1, random_state=seed).fit(vectors)
    return float(found.inertia_), found.n_iter_


def scikit_batches(vectors: np.ndarray, seed: int) -> tuple[float, int]:
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(NUM_CLUSTERS, n_init=1, random_state=seed).fit(vectors)
    return float(found.inertia_), found.n_iter_


def topiclab(vectors: np.ndarray, seed: int, batch_size: int | None = None) -> tuple[float, int]:
    from topiclab.nn.lloyd import lloyd

    found = lloyd(vectors, NUM_CLUSTERS, seed=seed, batch_size=batch_size)
    return found.inertia, found.iterations


def topiclab_batches(vectors: np.ndarray, seed: int) -> tuple[float, int]:
    return topiclab(vectors, seed, 1024)


def faiss(vectors: np.ndarray, seed: int) -> tuple[float, int]:
    import faiss as package  # type: ignore[reportMissingImports]

    passes = 50
    model = package.Kmeans(
        vectors.shape[1], NUM_CLUSTERS, niter=passes, seed=seed, max_points_per_centroid=len(vectors)
    )
    model.train(vectors)
    return float(model.index.search(vectors, 1)[0].astype(np.float64).sum()), passes


def main(rounds: int, path: Path | None, *, with_faiss: bool) -> int:
    import torch

    vectors = np.ascontiguousarray(np.load(path), np.float32) if path else mixture()
    sides: dict[str, Side] = {
        "sklearn": scikit_learn,
        "topiclab": topiclab,
        "sklearn batches": scikit_batches,
        "topiclab batches": topiclab_batches,
    }
    if with_faiss:
        sides["faiss"] = faiss
    print(f"{'mixture' if path is None else path.parent.name[:12]} {vectors.shape}, K={NUM_CLUSTERS}")
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} before", flush=True)
    print(f"{'side':<18}{'inertia':>12}{'passes':>8}{'wall s':>8}{'CPU s':>8}")
    readings: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for run in sides.values():  # imports, thread pools
        run(vectors[:2000], 0)
    for seed in range(rounds):
        for name, run in sides.items():
            with Meter() as meter:
                inertia, passes = run(vectors, seed)
            readings[name].append({**meter.readings(), "inertia": inertia})
            print(
                f"{name:<18}{inertia:12.2f}{passes:8d}{meter.wall_seconds:8.2f}{meter.cpu_seconds:8.2f}",
                flush=True,
            )
    print(f"load {os.getloadavg()[0]:.1f} after")
    return judge(readings)


def judge(readings: dict[str, list[dict[str, Any]]]) -> int:
    """Print median seconds and mean inertia of every side; return 1 when a bar is missed."""
    base, ratios = readings["sklearn"], {}
    for name, rows in readings.items():
        wall, cpu = (
            median(row[key] for row in base) / median(row[key] for row in rows)
            for key in ("wall_seconds", "cpu_seconds")
        )
        excess = mean(row["inertia"] for row in rows) / mean(row["inertia"] for row in base) - 1
        ratios[name] = wall, cpu, excess
        print(f"{name:<18}{wall:6.2f}x sklearn's speed, {cpu:6.2f}x by CPU, mean inertia {excess:+.2%}")
    wall, cpu, excess = ratios["topiclab"]
    is_met = min(wall, cpu) >= MIN_SPEEDUP and excess <= MAX_EXCESS
    is_met = is_met and ratios["topiclab batches"][2] <= MAX_BATCH_EXCESS
    print(f"bars: {MIN_SPEEDUP}x, inertia +{MAX_EXCESS:.1%}, mini-batches +{MAX_BATCH_EXCESS:.1%}")
    return int(not is_met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--faiss", action="store_true")
    options = parser.parse_args()
    sys.exit(main(options.rounds, options.vectors, with_faiss=options.faiss))
