"""Trees: the files of a checkout as they are, or as they were at a commit."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cached_property
from pathlib import Path

PARTS = ("topiclab", "conf", "experiments")  # folders that a table's cells depend on
KINDS = (".py", ".yaml", ".txt")


class Checkout:
    """A git checkout with one process that hands out the content of its blobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.texts: dict[str, str] = {}  # by blob

    def git(self, *words: str) -> str:
        """Output of a git command; CalledProcessError if it fails."""
        return subprocess.run(
            ["git", "-C", str(self.root), *words], capture_output=True, text=True, check=True
        ).stdout

    def has(self, commit: str) -> bool:
        """True if the commit is in this clone; a shallow one lacks the older ones."""
        try:
            self.git("cat-file", "-e", f"{commit}^{{commit}}")
        except subprocess.CalledProcessError:
            return False
        return True

    def day_of(self, commit: str) -> str:
        """Day of a commit, ISO 8601."""
        return date.fromisoformat(self.git("show", "-s", "--format=%cs", commit).strip()).isoformat()

    def load(self, blobs: Iterable[str]) -> None:
        """Read these blobs into `texts`, all in one process."""
        wanted = [blob for blob in dict.fromkeys(blobs) if blob not in self.texts]
        if not wanted:
            return
        found = subprocess.run(
            ["git", "-C", str(self.root), "cat-file", "--batch"],
            input="".join(f"{blob}\n" for blob in wanted).encode(),
            capture_output=True,
            check=True,
        ).stdout
        start = 0
        for blob in wanted:
            head, _, _ = found[start:].partition(b"\n")
            size = int(head.split()[-1])
            start += len(head) + 1
            self.texts[blob] = found[start : start + size].decode("utf-8")
            start += size + 1


class Tree:
    """Python, yaml and text files of a checkout, by path; `blobs` has git's hash of the content of each."""

    def __init__(self, checkout: Checkout, blobs: dict[str, str]) -> None:
        self.checkout, self.blobs = checkout, blobs

    @classmethod
    def at(cls, checkout: Checkout, commit: str) -> Tree:
        """Files of a commit."""
        listed = checkout.git("ls-tree", "-r", "-z", commit, "--", *PARTS).split("\0")
        pairs = (line.partition("\t")[::2] for line in listed if line.endswith(KINDS))
        return cls(checkout, {path: facts.split()[2] for facts, path in pairs})

    @classmethod
    def now(cls, checkout: Checkout) -> Tree:
        """Files on disk, uncommitted changes included."""
        blobs: dict[str, str] = {}
        for path in _files(checkout.root):
            content = path.read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            checkout.texts[blob] = content.decode("utf-8")
            blobs[path.relative_to(checkout.root).as_posix()] = blob
        return cls(checkout, blobs)

    def read(self, path: str) -> str | None:
        """Text of a file; None if the tree has no such file."""
        blob = self.blobs.get(path)
        if blob is None:
            return None
        if blob not in self.checkout.texts:
            self.checkout.load(self.blobs.values())
        return self.checkout.texts[blob]

    @cached_property
    def modules(self) -> dict[str, str]:
        """Path of each Python file of the package by its dotted name."""
        paths = (path for path in self.blobs if path.startswith("topiclab/") and path.endswith(".py"))
        return {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in paths}


def _files(root: Path) -> Iterator[Path]:
    for part in PARTS:
        yield from (path for path in sorted((root / part).rglob("*")) if path.suffix in KINDS)
