"""task=count: window counts of a reference, once, into a file that later fits read."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from topiclab.config.configuration import Configuration
from topiclab.data.sources.corpora import load_corpus
from topiclab.metrics.reference import reference_counts, save_counts
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)


def count(cfg: Configuration, folder: Path) -> Outcome:
    """Write counts.npz for the words of reference.words or of the corpus; return what result.json records."""
    started = time.perf_counter()
    words = reference_words(cfg)
    counts = reference_counts(cfg.reference, words, cfg.vocabulary, cfg.paths.cache)
    path = folder / "counts.npz"
    save_counts(path, counts)
    first = next(iter(counts.values()))
    known = int((first.word_counts > 0).sum())
    log.info("%d of %d words occur in the reference; reference.path=%s", known, len(words), path)
    return Outcome(
        metrics={"words_found": known, "words_absent": len(words) - known},
        seconds={"count": round(time.perf_counter() - started, 3)},
        manifest={"num_windows": {str(window): each.num_windows for window, each in counts.items()}},
    )


def reference_words(cfg: Configuration) -> list[str]:
    """Words to count: one per line of the file reference.words, else the vocabulary of the corpus."""
    if cfg.reference["words"] is None:
        return list(load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache).vocab)
    path = Path(cfg.reference["words"]).expanduser()
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    words = list(dict.fromkeys(line for line in lines if line))
    if not words:
        raise ValueError(f"reference.words={path} holds no word; give a file with one word per line")
    return words
