"""Streaming the arXiv snapshot: topiclab against a json.loads loop into pandas, in turn.

    python benchmarks/arxiv_stream.py [--gigabytes 2] [--rounds 1]

The snapshot is repeated to the requested size in a temporary file, with a different id for each record. Each
side runs in its own process. Both read the file into columns; `shards` is everything that data=arxiv does on
top: LaTeX and white space, filters, versions, compressed Parquet, for which the loop has no counterpart.
Threads are the defaults, one per core. Exits with 1 unless reading is 5 times as fast in wall time, and the
memory of both our sides stays below 500 MB and grows by at most a tenth from a quarter of the file to all of
it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from meter import Meter, resident_bytes

MIN_SPEEDUP, MAX_MB, MAX_GROWTH = 5, 500, 1.1


def repeat_snapshot(path: Path, num_bytes: int) -> None:
    """Write whole copies of the snapshot; the last one may be cut after a line."""
    from topiclab.data.sources.corpora import ARXIV, data_folder
    from topiclab.data.sources.json_lines import LineBlocks

    start, copy, size = b'{"id": "', 0, 0
    snapshot = next(data_folder() / name for name in ARXIV if (data_folder() / name).is_file())
    with path.open("wb") as stream:
        while size < num_bytes:
            copy += 1
            for block in LineBlocks(snapshot):
                if size < num_bytes:
                    size += stream.write(block.replace(start, b"%s%d/" % (start, copy)))


def loop(path: Path, _: Path) -> int:
    import pandas

    with path.open("rb") as stream:
        return len(pandas.DataFrame([json.loads(line) for line in stream]))


def read(path: Path, _: Path) -> int:
    from topiclab.data.sources.arxiv import COLUMNS
    from topiclab.data.sources.json_lines import LineBlocks, in_threads, parse_block

    return sum(
        records.table.num_rows
        for records in in_threads(lambda block: parse_block(block, COLUMNS), LineBlocks(path))
    )


def shards(path: Path, folder: Path) -> int:
    from topiclab.data.sources.arxiv import Choice, stream_snapshot

    choice = Choice(categories=None, match="primary", years=None, sample=None, sample_seed=0)
    return stream_snapshot(path, folder, choice, progress=False)["counts"]["kept"]


SIDES = {"loop": loop, "read": read, "shards": shards}


def run_side(name: str, path: Path) -> dict[str, float]:
    """Measure one side in a fresh process: MB/s of wall and of CPU time, peak MB of the whole process."""
    command = [sys.executable, __file__, "--side", name, "--file", str(path)]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    size = path.stat().st_size / 1e6
    report["wall_mb"], report["cpu_mb"] = size / report["wall_seconds"], size / report["cpu_seconds"]
    print(
        f"{name:<8}{size / 1e3:7.2f} GB{report['records']:11,.0f} records{report['wall_mb']:8.0f} MB/s"
        f"{report['cpu_mb']:8.0f} MB/s of CPU{report['resident_mb']:8.0f} MB peak",
        flush=True,
    )
    return report


def measure_side(name: str, path: Path) -> None:
    """Run one side, in a fresh process."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, Meter() as meter:
        records = SIDES[name](path, Path(folder))
        peak = resident_bytes("VmHWM") / 1e6
    print(json.dumps({**meter.readings(), "resident_mb": peak, "records": records}))


def main(gigabytes: float, rounds: int) -> int:
    print(f"load {os.getloadavg()[0]:.1f} before", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        whole, quarter = Path(folder) / "whole.json", Path(folder) / "quarter.json"
        repeat_snapshot(quarter, int(gigabytes * 0.25e9))
        small = {name: run_side(name, quarter) for name in ("read", "shards")}
        quarter.unlink()
        repeat_snapshot(whole, int(gigabytes * 1e9))
        reports = [{name: run_side(name, whole) for name in SIDES} for _ in range(rounds)]
    print(f"load {os.getloadavg()[0]:.1f} after")
    speed = {name: median(report[name]["wall_mb"] for report in reports) for name in SIDES}
    speedup = speed["read"] / speed["loop"]
    print(f"reading: {speedup:.2f}x the loop (at least {MIN_SPEEDUP})")
    print(f"shards, with all that the loop leaves out: {speed['shards'] / speed['loop']:.2f}x (not judged)")
    is_flat = True
    for name, report in small.items():
        peak = max(report_of[name]["resident_mb"] for report_of in reports)
        growth = peak / report["resident_mb"]
        print(f"{name}: {peak:.0f} MB (at most {MAX_MB}), {growth:.2f}x a quarter's (at most {MAX_GROWTH})")
        is_flat = is_flat and peak <= MAX_MB and growth <= MAX_GROWTH
    return int(not (speedup >= MIN_SPEEDUP and is_flat))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.side:
        measure_side(options.side, options.file)
    else:
        sys.exit(main(options.gigabytes, options.rounds))
