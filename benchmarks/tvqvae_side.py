"""topiclab's side of tvqvae_text.py: OUT BAG VECTORS WORDS CACHE CODES OVERRIDE...

Stage 1 is learned, or read from CACHE, before the fit that is measured; the codes are written to CODES, an
.npz.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from bag import read_bag
from meter import Meter
from sides import report_side
from topiclab_side import NUM_TOP_WORDS, corpus_of_bag

from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.data.datamodule import TopicDataModule
from topiclab.models import training  # noqa: F401  what `fit` imports late is not part of the fit
from topiclab.models.tvqvae import TVQVAE
from topiclab.pipeline.build import make_model


def main(out: str, bag: str, vectors: str, words: str, cache: str, codes: str, *overrides: str) -> None:
    torch.set_num_threads(1)
    cfg = Configuration.of(compose([*overrides, "trainer.device=cpu"]))
    documents = {"embeddings": np.load(vectors), "embedding_key": "benchmark", "cache_root": Path(cache)}
    datamodule = TopicDataModule(
        corpus_of_bag(*read_bag(Path(bag))), **documents, word_vectors=lambda: np.load(words)
    )
    cold = make_model(
        Configuration.of(compose([*overrides, "model.init=random"])), datamodule
    )  # whose start is stage 1 alone
    assert isinstance(cold, TVQVAE)
    with Meter() as first:
        cold.initialize(datamodule)
    bag_of_codes = cold.encoder.bag
    stage_one = {
        "codes": bag_of_codes.codes,
        "weights": bag_of_codes.weights,
        "codebook": cold.decoder.codebook,
    }
    np.savez(codes, **{name: value.numpy() for name, value in stage_one.items()})
    model = make_model(cfg, datamodule)
    assert isinstance(model, TVQVAE)
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        result = model.fit(datamodule, Path(folder), cfg.trainer)
    assert result.top_words is not None
    seconds = {"stage_one_seconds": first.wall_seconds, "stage_one_cpu_seconds": first.cpu_seconds}
    top_words = result.top_words[:, :NUM_TOP_WORDS].tolist()
    final_loss = model.history[-1]["train/loss"]
    report_side(Path(out), result.theta, top_words, final_loss=final_loss, **seconds, **meter.readings())


if __name__ == "__main__":
    main(*sys.argv[1:])
