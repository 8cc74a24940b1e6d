"""FASTopic on tweet_topic: topiclab against the fastopic package 1.0.1, same mathematics and steps.

    python benchmarks/fastopic_fit.py [--steps 200] [--rounds 1]

Both sides read one bag (V=2000) and one file of MiniLM vectors, made beforehand and not counted, and fit K=50
topics with one thread, each in its own process, in turn. The package runs its own class and loop in an
environment that is made on first use (see peer_environment.py). A fit is everything from the bag to theta and
beta; imports are not part of it. Both start from noise and take full batches; the losses of the last step
show that the mathematics agrees.
Exits with 1 unless topiclab takes at most half the CPU seconds and half the memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bag import write_bag
from peer_environment import peer_python
from sides import BENCHMARKS, compare_sides, run_side
from sklearn.metrics import normalized_mutual_info_score

from topiclab.config.compose import compose
from topiclab.data.sources.corpora import load_corpus
from topiclab.embed.embedder import embed_corpus
from topiclab.metrics.clustering import purity
from topiclab.settings import Trainer

NUM_TOPICS, SEED = 50, 0
MIN_SPEEDUP, MAX_MEMORY, MAX_LOSS_DIFFERENCE = 2.0, 0.5, 0.02
DATA = ["data=tweet_topic", "data.vocabulary.size=2000", "embedder=minilm"]
AS_PUBLISHED = [
    "model=fastopic",
    "model.init=random",
    "model.theta_from=column_sums",
    "model.readout=beta",
    "objective.weight=1",
    "objective.length_power=1",
    f"num_topics={NUM_TOPICS}",
    f"seed={SEED}",
]


def run_package(bag: Path, vectors: Path, steps: int) -> dict[str, Any]:
    script = BENCHMARKS / "peers" / "fastopic_class.py"
    return run_side(peer_python("topmost"), script, bag, vectors, NUM_TOPICS, steps, SEED)


def run_topiclab(bag: Path, vectors: Path, steps: int) -> dict[str, Any]:
    script = BENCHMARKS / "topiclab_side.py"
    return run_side(
        Path(sys.executable), script, bag, vectors, "none", *AS_PUBLISHED, f"model.max_epochs={steps}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--rounds", type=int, default=1, help="fits per side, in turn; their medians are compared"
    )
    options = parser.parse_args()
    cfg = compose([*DATA, *AS_PUBLISHED])
    corpus = load_corpus(cfg["data"])
    assert corpus.labels is not None
    embeddings = embed_corpus(
        cfg["embedder"], corpus, Path(cfg["paths"]["cache"]), Trainer.of(cfg["trainer"])
    ).vectors
    sides = {"fastopic": run_package, "topiclab": run_topiclab}
    print(
        f"{corpus.num_docs} documents, V={corpus.num_words}, K={NUM_TOPICS}, {options.steps} steps of a full "
        f"batch, torch {torch.__version__}, one thread"
    )
    with tempfile.TemporaryDirectory() as folder:
        bag, vectors = Path(folder) / "bag.npz", Path(folder) / "vectors.npy"
        write_bag(bag, corpus.bow, corpus.vocab)
        np.save(vectors, embeddings)
        return compare_sides(
            {name: partial(run, bag, vectors, options.steps) for name, run in sides.items()},
            options.rounds,
            {
                "purity": partial(purity, corpus.labels),
                "NMI": partial(normalized_mutual_info_score, corpus.labels),
            },
            min_speedup=MIN_SPEEDUP,
            max_memory=MAX_MEMORY,
            max_loss_difference=MAX_LOSS_DIFFERENCE,
        )


if __name__ == "__main__":
    sys.exit(main())
