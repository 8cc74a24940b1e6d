"""ZeroShotTM of contextualized-topic-models 2.6.1 at its defaults: OUT BAG VECTORS NUM_TOPICS EPOCHS SEED.

Only the loader's workers differ: 0, so that all arithmetic is in this process. Training and the library's own
pass for theta (20 samples per document, part of its fit) are measured separately, so that fewer epochs can be
extrapolated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from bag import read_bag
from contextualized_topic_models.datasets.dataset import CTMDataset
from contextualized_topic_models.models.ctm import ZeroShotTM
from meter import Meter
from sides import report_side


def main(out: str, bag: str, vectors: str, num_topics: str, epochs: str, seed: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    bow, vocab = read_bag(Path(bag))
    embeddings = np.load(vectors)
    with Meter() as training:
        dataset = CTMDataset(embeddings, bow, dict(enumerate(vocab)))
        model = ZeroShotTM(
            bow_size=len(vocab),
            contextual_size=embeddings.shape[1],
            n_components=int(num_topics),
            num_epochs=int(epochs),
            num_data_loader_workers=0,
        )
        model.fit(dataset, do_train_predictions=False)
    with Meter() as prediction:
        theta = model.get_doc_topic_distribution(dataset, n_samples=20)
    report_side(
        Path(out),
        theta,
        training_seconds=training.cpu_seconds,
        prediction_seconds=prediction.cpu_seconds,
        peak_mb=training.peak_mb,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
