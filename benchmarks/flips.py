"""Single bits flipped in every kind of file that topiclab writes and reads again: python benchmarks/flips.py

Prints for each kind how many bits were flipped, how often that was noticed, and how often it changed a result
without a word. In a cache entry or a checkpoint it is noticed if the log tells of it; the cell must then end
with the numbers of an undamaged one. In a finished run it is noticed if topiclab.load and the same line both
refuse the folder. Entries keep their modification time, as with bit rot, or get a new one, as after a write.
Exits with 1 unless all flips were noticed and none changed a number.

--small: one flip of each kind.  --seed: of the places.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import topiclab
from topiclab import cache, digest
from topiclab.config.compose import compose
from topiclab.data.sources import corpora
from topiclab.pipeline import fit_texts
from topiclab.runs.run import run_cell

CORPUS = ["data=synthetic", "data.planted.num_docs=60", "data.vocabulary.min_df=1", "num_topics=3"]
QUICK = ["trainer.device=cpu", "trainer.max_epochs=2", "model.encoder.hidden_dims=[32,32]"]
DSL = ["model=theta", "objective=dsl", "teacher=neighbours"]
CODES = ["model=tvqvae", "model.num_codes=8", "model.codebook.code_dim=16", "model.codebook.hidden_dims=[32]"]
CODES += ["model.codebook.max_epochs=2"]
SMOOTH = ["model=kmeans", "model.neighbours=5", "trainer.device=cpu"]
LINES = {"dsl": [*DSL, *QUICK], "codes": [*CODES, *QUICK], "smooth": SMOOTH}
# Kind of cache entry: the line that reads it, and the number of flips, with the old time and with a new one.
CACHED = {
    "embeddings": ("dsl", 4),
    "starts": ("dsl", 3),
    "soft_labels": ("dsl", 4),
    "cooccurrence": ("dsl", 3),
    "neighbours": ("smooth", 3),
    "codebooks": ("codes", 3),
}
FILES = {"model.safetensors": 26, "embedder.safetensors": 9, "topics.npz": 6, "model.json": 4}
FILES |= {"result.json": 8}
NUM_CHECKPOINTS = 10
Counts = Counter[str]


class Drill:
    """Runs cells in a room of its own, and reads what they log.  places: draws the bits."""

    def __init__(self, room: Path, seed: int) -> None:
        self.room, self.places = room, random.Random(seed)
        self.log = io.StringIO()
        logging.getLogger("topiclab").addHandler(logging.StreamHandler(self.log))
        self.read: dict[str, list[Path]] = {}
        self.expected = {name: self.fit(name, f"whole-{name}") for name in LINES}

    def fit(self, line: str, folder: str) -> dict[str, Any]:
        """Metrics of a cell, run as a new process would: nothing is remembered."""
        digest._known.clear()
        corpora._load.cache_clear()
        cfg = compose([*CORPUS, *LINES[line], f"paths.cache={self.room}/cache"])
        with contextlib.redirect_stdout(io.StringIO()):
            return run_cell(cfg, self.room / folder)["metrics"]

    def judge(self, counts: Counts, line: str, folder: str, told: str) -> None:
        """Run the line in folder; count whether the log tells of damage, and whether numbers differ."""
        self.log.truncate(0)
        metrics = self.fit(line, folder)
        counts["flips"] += 1
        counts["noticed"] += told in self.log.getvalue()
        counts["changed"] += metrics != self.expected[line]
        shutil.rmtree(self.room / folder)

    def flip(self, path: Path, *, keeps_time: bool) -> None:
        """Flip one bit at a place drawn from the whole file."""
        stat, content = path.stat(), bytearray(path.read_bytes())
        content[self.places.randrange(len(content))] ^= 1 << self.places.randrange(8)
        path.chmod(0o644)
        path.write_bytes(content)
        if keeps_time:
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def cache_entries(self, kind: str, line: str, num: int, *, keeps_time: bool) -> Counts:
        counts: Counts = Counter()
        for number in range(num):
            entries = self.entries_of(line)
            files = [path for folder in entries if folder.parent.name == kind for path in folder.iterdir()]
            self.flip(self.places.choice(sorted(files)), keeps_time=keeps_time)
            self.judge(counts, line, f"{kind}-{number}", "is damaged")
        return counts

    def entries_of(self, line: str) -> list[Path]:
        """Folders of the cache entries that the line reads."""
        if line not in self.read:
            original, seen = cache._read, set()

            def noted(folder: Path, level: int) -> cache.Entry | None:
                seen.add(folder)
                return original(folder, level)

            cache._read = noted
            try:
                self.fit(line, "reading")
            finally:
                cache._read = original
            shutil.rmtree(self.room / "reading")
            self.read[line] = sorted(seen)
        return self.read[line]

    def checkpoints(self, num: int) -> Counts:
        """Flip bits in last.ckpt of a fit that was interrupted after its training."""
        counts: Counts = Counter()
        evaluate = fit_texts.evaluate
        fit_texts.evaluate = _interrupt
        with contextlib.suppress(KeyboardInterrupt):
            self.fit("dsl", "interrupted")
        fit_texts.evaluate = evaluate
        for number in range(num):
            folder = self.room / f"resumed-{number}"
            shutil.copytree(self.room / "interrupted", folder)
            self.flip(folder / "checkpoints" / "last.ckpt", keeps_time=True)
            self.judge(counts, "dsl", folder.name, "last.ckpt is damaged")
        return counts

    def run_files(self, name: str, num: int) -> Counts:
        """Flip bits in a file of a finished run."""
        counts: Counts = Counter()
        for _ in range(num):
            folder = self.room / "finished"
            shutil.copytree(self.room / "whole-dsl", folder)
            self.flip(folder / name, keeps_time=True)
            counts["flips"] += 1
            refusals = [self._refuses(use, folder, name) for use in (topiclab.load, self._same_line)]
            counts["noticed"] += all(refusals)
            counts["changed"] += not any(refusals)
            shutil.rmtree(folder)
        return counts

    def _same_line(self, folder: Path) -> None:
        self.fit("dsl", folder.name)

    def _refuses(self, use: Callable[[Path], Any], folder: Path, name: str) -> bool:
        digest._known.clear()
        try:
            use(folder)
        except ValueError as error:
            return name in str(error)
        return False


def _interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def drills(drill: Drill, *, is_small: bool) -> Iterator[tuple[str, Counts]]:
    """(kind of file, counts), one after another."""
    for kind, (line, num) in CACHED.items():
        for keeps_time in (True, False):
            told = f"cache/{kind}, {'old' if keeps_time else 'new'} time"
            yield told, drill.cache_entries(kind, line, 1 if is_small else num, keeps_time=keeps_time)
    yield "checkpoints/last.ckpt", drill.checkpoints(1 if is_small else NUM_CHECKPOINTS)
    for name, num in FILES.items():
        yield name, drill.run_files(name, 1 if is_small else num)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total: Counts = Counter()
    print(f"{'':32}{'flips':>7}{'noticed':>9}{'changed results':>17}")
    with tempfile.TemporaryDirectory() as room:
        for name, counts in drills(Drill(Path(room), options.seed), is_small=options.small):
            print(f"{name:32}{counts['flips']:7}{counts['noticed']:9}{counts['changed']:17}", flush=True)
            total += counts
    print(f"{total['noticed']} of {total['flips']} flips noticed, {total['changed']} changed a result")
    return int(total["noticed"] < total["flips"] or total["changed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
