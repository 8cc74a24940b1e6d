"""Embedding time of a grid's second cell, and the time of a finished cell that is run again.

    python benchmarks/embedding_reuse.py [--docs 1000] [--embedder minilm]

Runs three cells on StackOverflow titles in one process, with a new cache and new run folders: num_topics=10,
num_topics=20, and num_topics=10 again. Prints wall seconds of the stage `embed` and of the whole cell. Exits
with 1 unless the second cell embeds in at most a hundredth of the first's time and the third cell takes at
most a tenth of the first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from topiclab.config.compose import compose
from topiclab.runs.run import run_cell

MAX_SHARE = 0.01


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=1000)
    parser.add_argument("--embedder", default="minilm")
    options = parser.parse_args()
    embed_seconds, cell_seconds = [], []
    with tempfile.TemporaryDirectory() as room:
        for num_topics in (10, 20, 10):
            cfg = compose(
                [
                    "data=stackoverflow",
                    f"data.sample={options.docs}",
                    f"embedder={options.embedder}",
                    f"num_topics={num_topics}",
                    f"paths.cache={room}/cache",
                ]
            )
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                result = run_cell(cfg, Path(room) / f"K{num_topics}")
            cell_seconds.append(time.perf_counter() - started)
            embed_seconds.append(result["seconds"]["embed"])
    print(f"{options.docs} documents, {options.embedder}")
    for name, embed, cell in zip(
        ("first", "second", "first again"), embed_seconds, cell_seconds, strict=True
    ):
        print(f"{name:12s} cell {cell:8.3f} s   embed {embed:8.3f} s")
    share = embed_seconds[1] / embed_seconds[0]
    print(f"embedding, second cell / first: {share:.4f} (at most {MAX_SHARE})")
    print(f"a finished cell again: {cell_seconds[0] / cell_seconds[2]:.0f}x faster")
    return int(share > MAX_SHARE or cell_seconds[2] > 0.1 * cell_seconds[0])


if __name__ == "__main__":
    sys.exit(main())
