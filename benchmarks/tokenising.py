"""Tokenising: MB/s per core, bytes per token, and fill of packed rows. Run: python benchmarks/tokenising.py

Learns vocabularies of 6,400 on the training split of data=text (arxiv, 20newsgroups, prose) and reports
bytes per token on held-out text; exits with 1 below the bars.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core

import numpy as np
from meter import Meter

from topiclab.config.compose import compose
from topiclab.data.corpus import SPLITS
from topiclab.data.documents import assign_split
from topiclab.data.sources.corpora import load_corpus, load_texts
from topiclab.minillm.data.packing import pack
from topiclab.minillm.data.tokenizer import Tokenizer, train_tokenizer
from topiclab.minillm.data.tokens import token_set

SPEED_BAR, WORTH_BAR = 2.0, 3.2  # MB/s per core, bytes per token
CORPORA = ("arxiv", "20newsgroups", "prose")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocab-size", type=int, default=6400)
    parser.add_argument("--max-mb", type=float, default=200.0, help="MB of text to learn from")
    parser.add_argument("--cache", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return compare(arguments.vocab_size, arguments.max_mb, arguments.cache or Path(folder))


def compare(vocab_size: int, max_mb: float, cache: Path) -> int:
    data = compose(["data=text", f"data.corpora=[{','.join(CORPORA)}]"])["data"]
    ids, texts = load_texts(data, cache=cache)
    split = assign_split(texts, **data["split"])
    named = np.array([name.partition("/")[0] for name in ids])
    learned = [text for text, part in zip(texts, split, strict=True) if part == SPLITS.index("train")]
    with Meter() as training:
        tokenizer = train_tokenizer(learned, vocab_size=vocab_size, seed=0, max_bytes=int(max_mb * 1e6))
    learned_mb = tokenizer.info["num_bytes"] / 1e6
    print(f"learned {vocab_size} tokens from {learned_mb:.1f} MB in {training.cpu_seconds:.1f} s of CPU")
    with Meter() as reading:
        tokens = token_set(texts, tokenizer, cache)
    speed = tokens.num_bytes.sum() / 1e6 / reading.cpu_seconds
    print(f"token set of {len(texts)} documents: {speed:.2f} MB/s of CPU, peak {reading.peak_mb:.0f} MB")
    print_worth(tokens, split, named)
    is_held_out = split != SPLITS.index("train")
    worth = tokens.bytes_per_token(is_held_out)
    print_forced(learned, vocab_size, texts, is_held_out, max_mb)
    for name in ("stackoverflow", "20newsgroups"):
        print_fill(name, tokenizer, cache)
    print(f"bars: {speed:.2f} MB/s of {SPEED_BAR}, {worth:.2f} bytes per token held out, of {WORTH_BAR}")
    return int(speed < SPEED_BAR or worth < WORTH_BAR)


def print_worth(tokens: Any, split: np.ndarray, named: np.ndarray) -> None:
    """Print bytes per token by corpus and split."""
    print("bytes per token" + "".join(f"{part:>8}" for part in SPLITS))
    for corpus in (*CORPORA, "all"):
        is_corpus = (named == corpus) if corpus != "all" else np.ones(len(named), bool)
        cells = [tokens.bytes_per_token(is_corpus & (split == number)) for number in range(len(SPLITS))]
        print(f"{corpus:<13}" + "".join(f"{cell:8.2f}" for cell in cells))


def print_forced(learned: list[str], size: int, texts: list[str], is_held_out: np.ndarray, mb: float) -> None:
    """Print the cost of 2,000 forced words on held-out text."""
    words = load_corpus(compose(["data=20newsgroups"])["data"]).vocab
    with Meter() as training:
        forced = train_tokenizer(
            learned, vocab_size=size, forced_words=words, seed=0, max_bytes=int(mb * 1e6)
        )
    assert (forced.word_ids(words) >= 0).all()
    held = [texts[row] for row in np.flatnonzero(is_held_out)]
    num = forced.encode_batch(held)[1][-1]
    worth = sum(len(text.encode()) for text in held) / num
    print(f"{len(words)} words of 20newsgroups forced: {worth:.2f} held out, {training.cpu_seconds:.1f} s")


def print_fill(name: str, tokenizer: Tokenizer, cache: Path) -> None:
    """Print the fill of rows of 512 tokens."""
    _, texts = load_texts(compose([f"data={name}", "data.deduplicate=true"])["data"])
    tokens = token_set(texts, tokenizer, cache)
    for mode in ("pad", "stream", "bestfit"):
        with Meter() as planning:
            rows = np.arange(len(texts))
            packing = pack(tokens.ids, tokens.offsets, rows, length=512, mode=mode, seed=0)
        with Meter() as gathering:
            packing.rows(np.arange(min(256, packing.num_rows)))
        print(
            f"{name} {mode}: {packing.num_rows} rows, fill {packing.fill:.4f}, kept {packing.kept:.4f}, "
            f"planned in {planning.cpu_seconds:.3f} s, 256 rows in {gathering.cpu_seconds * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    sys.exit(main())
