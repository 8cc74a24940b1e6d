"""TopMost 1.0.2's ProdLDA with its own trainer, on a bag: OUT BAG NUM_TOPICS EPOCHS BATCH_SIZE SEED.

The data set is made as in topmost.data.BasicDataset: the bag dense in float32, with a shuffling DataLoader.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from bag import read_bag
from meter import Meter
from sides import report_side
from topmost import BasicTrainer, ProdLDA
from torch.utils.data import DataLoader


def main(out: str, bag: str, num_topics: str, epochs: str, batch_size: str, seed: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    bow, vocab = read_bag(Path(bag))
    batch_losses: list[torch.Tensor] = []
    with Meter() as meter:
        dense = torch.from_numpy(bow.astype("float32").toarray())
        dataset = SimpleNamespace(
            train_data=dense,
            train_dataloader=DataLoader(dense, batch_size=int(batch_size), shuffle=True),
            vocab=vocab,
        )
        model = ProdLDA(len(vocab), num_topics=int(num_topics))
        model.register_forward_hook(
            lambda _module, inputs, output: batch_losses.append(output["loss"].detach() * len(inputs[0]))
        )
        trainer = BasicTrainer(model, dataset, epochs=int(epochs), batch_size=int(batch_size))
        _, theta = trainer.train()
    last_epoch = batch_losses[-len(dataset.train_dataloader) :]
    final_loss = float(torch.stack(last_epoch).sum()) / len(dense)
    report_side(Path(out), theta, final_loss=final_loss, **meter.readings())


if __name__ == "__main__":
    main(*sys.argv[1:])
