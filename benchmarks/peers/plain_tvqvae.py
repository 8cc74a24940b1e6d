"""TVQ-VAE's stage 2 written plainly: OUT BAG CODES K EPOCHS BATCH_SIZE SEED.

nn.BatchNorm1d over topics and over documents, dense float32 bags of words and of codes, a DataLoader over a
TensorDataset, torch.optim.AdamW. CODES: an .npz with codebook (N, d), codes (V, E) and weights (V, E).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from bag import read_bag
from meter import Meter
from sides import report_side
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

NUM_TOP_WORDS = 10


def plain_norm(size: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(size, affine=False)


class Network(nn.Module):
    def __init__(self, codebook: Tensor, num_topics: int, num_words: int) -> None:
        super().__init__()
        num_codes, code_dim = codebook.shape
        self.rho = nn.functional.normalize(codebook, dim=1)
        self.trunk = nn.Sequential(nn.Linear(num_codes, 100), nn.Tanh(), nn.Linear(100, 100), nn.Tanh())
        self.mean, self.mean_norm = nn.Linear(100, num_topics), plain_norm(num_topics)
        self.logvar, self.logvar_norm = nn.Linear(100, num_topics), plain_norm(num_topics)
        self.beta = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_topics, num_codes)))
        self.alpha = nn.Sequential(
            nn.Linear(code_dim, 100),
            nn.Tanh(),
            nn.Linear(100, 100),
            nn.Tanh(),
            nn.Linear(100, num_words),
            plain_norm(num_words),
        )
        self.word_norm = plain_norm(num_words)
        self.prior_mean = nn.Parameter(torch.zeros(num_topics))
        self.prior_logvar = nn.Parameter(torch.full((num_topics,), 1 - 1 / num_topics).log())

    def posterior(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.trunk(codes)
        return self.mean_norm(self.mean(hidden)), self.logvar_norm(self.logvar(hidden))

    def topics(self) -> Tensor:
        return self.alpha(nn.functional.normalize(self.beta @ self.rho, dim=1))

    def forward(self, words: Tensor, codes: Tensor) -> Tensor:
        """Loss (B,) in nats."""
        mean, logvar = self.posterior(codes)
        theta = (mean + (0.5 * logvar).exp() * torch.randn_like(mean)).softmax(dim=1)
        log_probs = torch.log_softmax(self.word_norm(theta @ self.topics()), dim=1)
        prior_var = self.prior_logvar.exp()
        kl = 0.5 * (
            logvar.exp() / prior_var
            + (self.prior_mean - mean) ** 2 / prior_var
            - 1
            + self.prior_logvar
            - logvar
        ).sum(dim=1)
        return kl - (words * log_probs).sum(dim=1)


def train(network: Network, dataset: TensorDataset, epochs: int, batch_size: int) -> float:
    """Mean loss of the last epoch."""
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    total = torch.zeros(())
    for _ in range(epochs):
        total.zero_()
        for words, codes in loader:
            optimizer.zero_grad()
            losses = network(words, codes)
            losses.mean().backward()
            optimizer.step()
            total += losses.detach().sum()
    return float(total) / len(dataset)


def main(out: str, bag: str, codes: str, *settings: str) -> None:
    num_topics, epochs, batch_size, seed = map(int, settings)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    bow, _ = read_bag(Path(bag))
    with np.load(codes, allow_pickle=False) as arrays:
        stage_one = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    with Meter() as meter:
        words = torch.from_numpy(bow.toarray()).float()
        table = torch.zeros(words.shape[1], len(stage_one["codebook"]))
        table.scatter_(1, stage_one["codes"], stage_one["weights"])
        bags = words @ table
        network = Network(stage_one["codebook"], num_topics, words.shape[1])
        final_loss = train(network, TensorDataset(words, bags), epochs, batch_size)
        with torch.inference_mode():
            beta = network.topics()
            network.eval()
            theta = network.posterior(bags)[0].softmax(dim=1)
    top_words = beta.argsort(dim=1, descending=True)[:, :NUM_TOP_WORDS]
    report_side(Path(out), theta.numpy(), top_words.tolist(), final_loss=final_loss, **meter.readings())


if __name__ == "__main__":
    main(*sys.argv[1:])
