"""ProdLDA on the bags of StackOverflow: topiclab against TopMost 1.0.2, same mathematics, epochs and batches.

    python benchmarks/prodlda.py [--epochs 20] [--rounds 3]

Both sides read one bag (V=2000) and fit K=50 topics with one thread, each in its own process, in turn.
TopMost runs its own trainer in an environment that is made on first use (see peer_environment.py). A fit is
everything from the bag to theta of all documents; imports are not part of it. The model is TopMost's on
both sides: two softplus layers of 200, dropout .4, batch normalisation with eps and momentum .001, Adam at
2e-3. The losses of the last epoch show that the mathematics agrees; purity is for information, because this
model collapses on short texts. Exits with 1 unless topiclab takes at most half the CPU seconds and half the
memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bag import write_bag
from peer_environment import peer_python
from sides import BENCHMARKS, compare_sides, run_side

from topiclab.config.compose import compose
from topiclab.data.sources.corpora import load_corpus
from topiclab.metrics.clustering import purity

NUM_TOPICS, BATCH_SIZE, SEED = 50, 200, 0
MIN_SPEEDUP, MAX_MEMORY, MAX_LOSS_DIFFERENCE = 2.0, 0.5, 0.02
DATA = ["data=stackoverflow", "data.vocabulary.size=2000"]
AS_TOPMOST = [
    "model=prodlda",
    "model.encoder.reads=bow",
    "model.encoder.hidden_dims=[200,200]",
    "model.encoder.activation=softplus",
    "model.encoder.dropout=0.4",
    "model.encoder.inner_dropout=0.0",
    "model.encoder.hidden_batch_norm=false",
    "model.encoder.head_batch_norm=true",
    "model.encoder.batch_norm_eps=0.001",
    "model.encoder.batch_norm_momentum=0.001",
    "model.theta_dropout=0.4",
    "model.batch_norm_eps=0.001",
    "model.batch_norm_momentum=0.001",
    "objective.weight=1",
    "objective.length_power=1",
    "model.init=random",
    "model.kl_warmup=0.0",
    "model.min_steps=0",
    "model.readout=beta",
    f"model.batch_size={BATCH_SIZE}",
    f"num_topics={NUM_TOPICS}",
    f"seed={SEED}",
]


def run_topmost(bag: Path, epochs: int) -> dict[str, Any]:
    script = BENCHMARKS / "peers" / "topmost_prodlda.py"
    return run_side(peer_python("topmost"), script, bag, NUM_TOPICS, epochs, BATCH_SIZE, SEED)


def run_topiclab(bag: Path, epochs: int) -> dict[str, Any]:
    script = BENCHMARKS / "topiclab_side.py"
    return run_side(
        Path(sys.executable), script, bag, "none", "none", *AS_TOPMOST, f"model.max_epochs={epochs}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--rounds", type=int, default=3, help="fits per side, in turn; their medians are compared"
    )
    options = parser.parse_args()
    compose(AS_TOPMOST)  # a removed key stops here, not after the first of TopMost's fits
    corpus = load_corpus(compose(DATA)["data"])
    assert corpus.labels is not None
    sides = {"TopMost": run_topmost, "topiclab": run_topiclab}
    print(
        f"{corpus.num_docs} documents, V={corpus.num_words}, K={NUM_TOPICS}, {options.epochs} epochs, "
        f"batch {BATCH_SIZE}, torch {torch.__version__}, one thread"
    )
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / "bag.npz"
        write_bag(bag, corpus.bow, corpus.vocab)
        return compare_sides(
            {name: partial(run, bag, options.epochs) for name, run in sides.items()},
            options.rounds,
            {"purity": partial(purity, corpus.labels)},
            min_speedup=MIN_SPEEDUP,
            max_memory=MAX_MEMORY,
            max_loss_difference=MAX_LOSS_DIFFERENCE,
        )


if __name__ == "__main__":
    sys.exit(main())
