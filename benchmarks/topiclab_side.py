"""topiclab's side of a comparison, on a bag whose documents are all for training: OUT BAG VECTORS OVERRIDE...

VECTORS: an .npy of document embeddings, or `none`. The overrides are those of `python -m topiclab`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from bag import read_bag
from meter import Meter
from scipy import sparse
from sides import report_side

from topiclab.config import compose
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.models import training  # noqa: F401  what `fit` imports late is not part of the fit
from topiclab.tasks.fit import make_model


def main(out: str, bag: str, vectors: str, *overrides: str) -> None:
    torch.set_num_threads(1)
    cfg = compose([*overrides, "trainer.device=cpu"])
    corpus = corpus_of_bag(*read_bag(Path(bag)))
    embeddings = None if vectors == "none" else np.load(vectors)
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        datamodule = TopicDataModule(corpus, embeddings)
        model = make_model(cfg, datamodule)
        result = model.fit(datamodule, Path(folder), cfg["trainer"])
    final_loss = getattr(model, "history", [{}])[-1].get("train/loss", float("nan"))
    report_side(Path(out), result.theta, final_loss=final_loss, **meter.readings())


def corpus_of_bag(bow: sparse.csr_matrix, vocab: list[str]) -> Corpus:
    """A corpus of counts alone, without texts, in which every document is for training."""
    num_docs = bow.shape[0]
    names = tuple(map(str, range(num_docs)))
    return Corpus(
        name="bag",
        ids=names,
        texts=names,
        vocab=tuple(vocab),
        bow=bow,
        token_ids=np.empty(0, np.int32),
        token_offsets=np.zeros(num_docs + 1, np.int64),
        split=np.zeros(num_docs, np.int8),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
