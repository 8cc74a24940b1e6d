"""fastopic 1.0.1's own class and loop, on a bag and given vectors: OUT BAG VECTORS NUM_TOPICS EPOCHS SEED.

The class reads texts; its preprocessing is replaced by one that passes on the bag. Everything else is its
default.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from bag import read_bag
from meter import Meter
from sides import BENCHMARKS, report_side

sys.path.remove(str(BENCHMARKS))  # where the benchmark of the same name would hide the package
FASTopic = importlib.import_module("fastopic").FASTopic


def main(out: str, bag: str, vectors: str, num_topics: str, epochs: str, seed: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    np.random.seed(int(seed))  # noqa: NPY002  the generator that the package shuffles with
    bow, vocab = read_bag(Path(bag))
    embeddings = np.load(vectors)
    losses: list[float] = []
    with Meter() as meter:
        given = SimpleNamespace(preprocess=lambda _docs: {"train_bow": bow, "vocab": vocab})
        model = FASTopic(int(num_topics), preprocess=given, doc_embed_model=given, device="cpu")
        model.model.register_forward_hook(lambda *call: losses.append(call[2]["loss"].item()))
        theta = model.fit_transform([""] * len(embeddings), int(epochs), preset_doc_embeddings=embeddings)[1]
    report_side(Path(out), theta, final_loss=losses[-1], **meter.readings())


if __name__ == "__main__":
    main(*sys.argv[1:])
