"""CPU seconds to purity .74 on StackOverflow: topiclab's default against ZeroShotTM.

    python benchmarks/time_to_quality.py [--peer-epochs 100] [--rounds 1] [override ...]

Both sides read one bag and one file of MiniLM vectors of the training documents, made beforehand and not
counted, and fit K=50 topics with one thread, each in its own process, in turn. The peer, of
contextualized-topic-models, runs at its defaults, 100 epochs, in an environment that is made on first use
(see peer_environment.py). With fewer --peer-epochs its training seconds are extrapolated linearly to 100
and its purity is that after the fewer epochs; the output says so. Overrides change topiclab's side, as on its
command line.
Exits with 1 unless topiclab reaches the purity in at most a tenth of the peer's CPU seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from bag import write_bag
from peer_environment import peer_python
from sides import BENCHMARKS, run_side

from topiclab.config.compose import compose
from topiclab.data.sources.corpora import load_corpus
from topiclab.embed.embedder import embed_corpus
from topiclab.metrics.clustering import purity
from topiclab.settings import Trainer

NUM_TOPICS, PEER_EPOCHS = 50, 100
MIN_PURITY, MAX_SHARE = 0.74, 0.1
DATA = ["data=stackoverflow", "embedder=minilm", f"num_topics={NUM_TOPICS}"]


def prepare(folder: Path) -> tuple[Path, Path, np.ndarray]:
    """Write bag and vectors of the training documents as files; return their label ids."""
    cfg = compose(DATA)
    corpus = load_corpus(cfg["data"])
    assert corpus.labels is not None
    rows = corpus.rows("train")
    embeddings = embed_corpus(
        cfg["embedder"], corpus, Path(cfg["paths"]["cache"]), Trainer.of(cfg["trainer"])
    )
    bag, vectors = folder / "bag.npz", folder / "vectors.npy"
    write_bag(bag, corpus.bow[rows], corpus.vocab)
    np.save(vectors, embeddings.vectors[rows])
    return bag, vectors, corpus.labels[rows]


def run_peer(bag: Path, vectors: Path, labels: np.ndarray, epochs: int, seed: int) -> float:
    """CPU seconds of the peer at its default number of epochs."""
    script = BENCHMARKS / "peers" / "ctm_zeroshot.py"
    python = peer_python("contextualized-topic-models")
    report = run_side(python, script, bag, vectors, NUM_TOPICS, epochs, seed)
    seconds = report["training_seconds"] * PEER_EPOCHS / epochs + report["prediction_seconds"]
    note = (
        ""
        if epochs == PEER_EPOCHS
        else f", from {epochs} epochs ({report['training_seconds']:.1f} s) by extrapolation"
    )
    quality = purity(labels, report["assignment"])
    print(
        f"ZeroShotTM  seed {seed}: {seconds:7.1f} CPU s at {PEER_EPOCHS} epochs{note}; purity {quality:.3f}",
        flush=True,
    )
    return seconds


def run_topiclab(
    bag: Path, vectors: Path, labels: np.ndarray, seed: int, overrides: list[str]
) -> tuple[float, float]:
    """CPU seconds and purity of our default model."""
    script = BENCHMARKS / "topiclab_side.py"
    report = run_side(Path(sys.executable), script, bag, vectors, "none", *DATA, f"seed={seed}", *overrides)
    quality = purity(labels, report["assignment"])
    print(
        f"topiclab    seed {seed}: {report['cpu_seconds']:7.1f} CPU s; purity {quality:.3f}; "
        f"peak {report['peak_mb']:.0f} MB over the base process",
        flush=True,
    )
    return report["cpu_seconds"], quality


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-epochs", type=int, default=PEER_EPOCHS)
    parser.add_argument("--rounds", type=int, default=1, help="fits per side, in turn, seeds 0, 1, ...")
    parser.add_argument("overrides", nargs="*", help="for topiclab's side, e.g. model=prodlda")
    options = parser.parse_args()
    compose([*DATA, *options.overrides])  # a wrong override stops here, not after the peer's fit
    theirs, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        bag, vectors, labels = prepare(Path(folder))
        print(
            f"{len(labels)} training documents, K={NUM_TOPICS}, one thread, embedding not counted", flush=True
        )
        for seed in range(options.rounds):
            theirs.append(run_peer(bag, vectors, labels, options.peer_epochs, seed))
            ours.append(run_topiclab(bag, vectors, labels, seed, options.overrides))
    share = median(seconds for seconds, _ in ours) / median(theirs)
    lowest = min(quality for _, quality in ours)
    print(f"CPU seconds: {share:.3f} of ZeroShotTM's, {1 / share:.0f}x fewer (at most {MAX_SHARE})")
    print(f"lowest purity of topiclab: {lowest:.3f} (at least {MIN_PURITY})")
    return int(not (share <= MAX_SHARE and lowest >= MIN_PURITY))


if __name__ == "__main__":
    sys.exit(main())
