"""TVQ-VAE on the newsgroups: seconds of its stages, and stage 2 against a plain implementation.

    python benchmarks/tvqvae_text.py [--epochs 20] [--rounds 1]

Word vectors are MiniLM's; K=50 topics, 300 codes, five per word, one thread, each side in its own process, in
turn. Stage 1 is learned once by topiclab and read by both: its seconds are printed and not part of any fit.
The plain side is peers/plain_tvqvae.py. Both have the published network: bags of codes, two tanh layers of
100, batch-normed heads, alpha of two tanh layers of 100 batch-normed over the topics, AdamW at 1e-3, a
learned prior, batches of 256, a random start. A fit is everything from codes to theta of all documents;
imports are not part of it. The losses of the last epoch show that the mathematics agrees. Then the default
recipe, `model=tvqvae` from its warm start, which is counted.
Exits with 1 unless topiclab takes at most 1/1.5 of the CPU seconds and half the memory at equal loss, and
the recipe takes less than a minute of CPU.
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
from sides import BENCHMARKS, compare_sides, run_side

from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.sources.corpora import load_corpus
from topiclab.metrics.clustering import purity
from topiclab.pipeline.inputs import document_vectors, make_datamodule

NUM_TOPICS, BATCH_SIZE, SEED = 50, 256, 0
MIN_SPEEDUP, MAX_MEMORY, MAX_LOSS_DIFFERENCE, MAX_SECONDS = 1.5, 0.5, 0.02, 60
DATA = ["data=20newsgroups", "data.split.val=0", "data.split.test=0", "embedder=minilm"]
RECIPE = ["model=tvqvae", f"num_topics={NUM_TOPICS}", f"seed={SEED}"]
AS_PUBLISHED = [
    *RECIPE,
    "model.encoder.reads=codes",
    "model.encoder.input_norm=none",
    "model.encoder.hidden_dims=[100,100]",
    "model.encoder.activation=tanh",
    "model.encoder.dropout=0.0",
    "model.encoder.inner_dropout=0.0",
    "model.encoder.hidden_batch_norm=false",
    "model.encoder.head_batch_norm=true",
    "model.theta_dropout=0.0",
    "model.has_shift=false",
    "model.is_prior_learned=true",
    "model.init=random",
    "model.min_steps=0",
    "model.kl_warmup=0.0",
    "model.lr=1.0e-3",
    "model.weight_decay=0.01",
    "model.readout=beta",
    f"model.batch_size={BATCH_SIZE}",
    "objective.weight=1",
    "objective.length_power=1",
]


def prepare(folder: Path) -> tuple[Corpus, list[Path]]:
    """Return the corpus and write its bag and the vectors of its documents and words as files."""
    files = [folder / name for name in ("bag.npz", "vectors.npy", "words.npy")]
    cfg = Configuration.of(compose([*DATA, *RECIPE]))
    corpus = load_corpus(cfg.data)
    datamodule = make_datamodule(cfg, corpus, document_vectors(cfg, corpus))
    write_bag(files[0], corpus.bow, corpus.vocab)
    np.save(files[1], np.asarray(datamodule.embeddings))
    np.save(files[2], datamodule.embedded_words())
    return corpus, files


def run_topiclab(folder: Path, files: list[Path], *overrides: str) -> dict[str, Any]:
    script = BENCHMARKS / "tvqvae_side.py"
    return run_side(Path(sys.executable), script, *files, folder / "cache", folder / "codes.npz", *overrides)


def run_plain(folder: Path, files: list[Path], epochs: int) -> dict[str, Any]:
    script = BENCHMARKS / "peers" / "plain_tvqvae.py"
    settings = NUM_TOPICS, epochs, BATCH_SIZE, SEED
    return run_side(Path(sys.executable), script, files[0], folder / "codes.npz", *settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1, help="fits per side, in turn; their medians count")
    options = parser.parse_args()
    published = [*AS_PUBLISHED, f"model.max_epochs={options.epochs}"]
    compose(published)  # a removed key stops here, not after the first fit
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, files = prepare(folder)
        assert corpus.labels is not None
        print(
            f"{corpus.num_docs} documents, V={corpus.num_words}, K={NUM_TOPICS}, {options.epochs} epochs, "
            f"batch {BATCH_SIZE}, torch {torch.__version__}, one thread"
        )
        recipe = run_topiclab(folder, files, *RECIPE)
        seconds = recipe["cpu_seconds"]
        print(f"stage 1: {recipe['stage_one_cpu_seconds']:.1f} CPU s, {recipe['stage_one_seconds']:.1f} s")
        print(
            f"stage 2, default recipe: {seconds:.1f} CPU s (at most {MAX_SECONDS}), "
            f"{recipe['wall_seconds']:.1f} s, purity {purity(corpus.labels, recipe['assignment']):.3f}",
            flush=True,
        )
        is_slow = compare_sides(
            {
                "plain": partial(run_plain, folder, files, options.epochs),
                "topiclab": partial(run_topiclab, folder, files, *published),
            },
            options.rounds,
            {"purity": partial(purity, corpus.labels)},
            min_speedup=MIN_SPEEDUP,
            max_memory=MAX_MEMORY,
            max_loss_difference=MAX_LOSS_DIFFERENCE,
        )
    return int(is_slow or seconds > MAX_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
