"""topiclab's side of a comparison, all documents for training: OUT BAG VECTORS LABELS OVERRIDE...

VECTORS: an .npy of document embeddings, or `none`. LABELS: an .npz of soft labels (soft_labels_file.py), or
`none`. The overrides are those of `python -m topiclab`.
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
from soft_labels_file import read_soft_labels

from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.models import training  # noqa: F401  what `fit` imports late is not part of the fit
from topiclab.pipeline.build import make_model

NUM_TOP_WORDS = 10


def main(out: str, bag: str, vectors: str, labels: str, *overrides: str) -> None:
    torch.set_num_threads(1)
    cfg = Configuration.of(compose([*overrides, "trainer.device=cpu"]))
    corpus = corpus_of_bag(*read_bag(Path(bag)))
    embeddings = None if vectors == "none" else np.load(vectors)
    soft_labels = None if labels == "none" else read_soft_labels(Path(labels))
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        teach = None if soft_labels is None else lambda _: soft_labels
        datamodule = TopicDataModule(corpus, embeddings, teach=teach)
        model = make_model(cfg, datamodule)
        result = model.fit(datamodule, Path(folder), cfg.trainer)
    final_loss = getattr(model, "history", [{}])[-1].get("train/loss", float("nan"))
    assert result.top_words is not None
    top_words = result.top_words[:, :NUM_TOP_WORDS].tolist()
    report_side(Path(out), result.theta, top_words, final_loss=final_loss, **meter.readings())


def corpus_of_bag(bow: sparse.csr_matrix, vocab: list[str]) -> Corpus:
    """Corpus of counts alone, without texts, with all documents for training."""
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
