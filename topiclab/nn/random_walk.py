"""Random walks over periods: their divergence from the prior, and the walk of the popularity of topics."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def walk_kl(means: Tensor, logvars: Tensor, samples: Tensor, variance: float) -> Tensor:
    """KL, in nats, of q(x_t) = N(means_t, exp(logvars_t)) from a walk with steps of this variance.

    means, logvars, samples: (T, ...).  The prior of x_0 is N(0, I), that of x_t N(samples_(t-1), variance I).
    """
    before = torch.cat([torch.zeros_like(samples[:1]), samples[:-1]])
    prior = torch.full_like(means, variance)
    prior[0] = 1
    return 0.5 * ((logvars.exp() + (means - before).square()) / prior - 1 + prior.log() - logvars).sum()


class PopularityWalk(nn.Module):
    """q(eta_t | eta_(t-1), words of the periods up to t): an LSTM over the periods, and a linear head."""

    def __init__(self, num_words: int, num_topics: int, width: int) -> None:
        super().__init__()
        self.words = nn.Linear(num_words, width)
        self.lstm = nn.LSTM(width, width)
        self.head = nn.Linear(width + num_topics, 2 * num_topics)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, words: Tensor, variance: float) -> tuple[Tensor, Tensor]:
        """Popularity eta (T, K), drawn in training, and its KL in nats; words: (T, V) shares."""
        states, _ = self.lstm(self.words(words))
        num_topics = self.head.out_features // 2
        means, logvars, draws = [], [], [words.new_zeros(num_topics)]
        for state in states:
            mean, logvar = self.head(torch.cat([state, draws[-1]])).chunk(2)
            noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
            means.append(mean)
            logvars.append(logvar)
            draws.append(mean + noise * (0.5 * logvar).exp())
        eta = torch.stack(draws[1:])
        return eta, walk_kl(torch.stack(means), torch.stack(logvars), eta, variance)
