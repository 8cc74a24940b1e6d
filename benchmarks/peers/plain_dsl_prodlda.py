"""DSL-ProdLDA written plainly: OUT VECTORS LABELS K EPOCHS BATCH_SIZE WEIGHT TEMPERATURE SEED.

nn.BatchNorm1d, a dense float32 target, a DataLoader over a TensorDataset, torch.optim.Adam, and the loss as
the paper has it, floor included. LABELS: an .npz with logits (D, V). Batch norms have a learned shift and no
learned scale, and the prior is learned, as on topiclab's side.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from meter import Meter
from sides import report_side
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

NUM_TOP_WORDS, FLOOR = 10, 1e-9


def shifted_norm(size: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(size)
    norm.weight.requires_grad_(False)
    return norm


class Network(nn.Module):
    def __init__(self, input_dim: int, num_topics: int, num_words: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(input_dim, 200), nn.Softplus(), nn.Linear(200, 200), nn.Softplus(), nn.Dropout(0.2)
        )
        self.mean, self.mean_norm = nn.Linear(200, num_topics), shifted_norm(num_topics)
        self.logvar, self.logvar_norm = nn.Linear(200, num_topics), shifted_norm(num_topics)
        self.theta_dropout = nn.Dropout(0.2)
        self.topics = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_topics, num_words)))
        self.word_norm = shifted_norm(num_words)
        self.prior_mean = nn.Parameter(torch.zeros(num_topics))
        self.prior_logvar = nn.Parameter(torch.full((num_topics,), 1 - 1 / num_topics).log())

    def posterior(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.trunk(vectors)
        return self.mean_norm(self.mean(hidden)), self.logvar_norm(self.logvar(hidden))

    def decode(self, theta: Tensor) -> Tensor:
        return self.word_norm(theta @ self.topics)

    def forward(self, vectors: Tensor, target: Tensor, weight: float, temperature: float) -> Tensor:
        """Loss (B,) in nats."""
        mean, logvar = self.posterior(vectors)
        theta = (mean + (0.5 * logvar).exp() * torch.randn_like(mean)).softmax(dim=1)
        student = (self.decode(self.theta_dropout(theta)) / temperature).softmax(dim=1)
        student, target = student.clamp(min=FLOOR), target.clamp(min=FLOOR)
        divergence = (target * (target.log() - student.log())).sum(dim=1)
        prior_var = self.prior_logvar.exp()
        kl = 0.5 * (
            logvar.exp() / prior_var
            + (self.prior_mean - mean) ** 2 / prior_var
            - 1
            + self.prior_logvar
            - logvar
        ).sum(dim=1)
        return kl + weight * divergence


def train(network: Network, dataset: TensorDataset, epochs: int, batch_size: int, *loss: float) -> float:
    """Mean loss of the last epoch."""
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=0)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, betas=(0.99, 0.99))
    total = torch.zeros(())
    for _ in range(epochs):
        total.zero_()
        for vectors, target in loader:
            optimizer.zero_grad()
            losses = network(vectors, target, *loss)
            losses.mean().backward()
            optimizer.step()
            total += losses.detach().sum()
    return float(total) / len(dataset)


def main(out: str, vectors: str, labels: str, *settings: str) -> None:
    num_topics, epochs, batch_size, weight, temperature, seed = map(int, settings)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    inputs, logits = torch.from_numpy(np.load(vectors)), torch.from_numpy(np.load(labels)["logits"])
    with Meter() as meter:
        inputs = (inputs - inputs.mean(dim=0)) / inputs.std(dim=0)
        target = (logits.float() / temperature).softmax(dim=1)
        network = Network(inputs.shape[1], num_topics, target.shape[1])
        final_loss = train(network, TensorDataset(inputs, target), epochs, batch_size, weight, temperature)
        network.eval()
        with torch.inference_mode():
            theta = network.posterior(inputs)[0].softmax(dim=1)
            beta = network.decode(torch.eye(num_topics))
    top_words = beta.argsort(dim=1, descending=True)[:, :NUM_TOP_WORDS]
    report_side(Path(out), theta.numpy(), top_words.tolist(), final_loss=final_loss, **meter.readings())


if __name__ == "__main__":
    main(*sys.argv[1:])
