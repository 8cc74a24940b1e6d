"""Chains: traces and samples of several runs of a Gibbs sampler, and their agreement."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from topiclab.atomic import atomic_file
from topiclab.models.sampling.convergence import ranked_r_hat, split_r_hat

INTERVAL = (0.05, 0.95)
SHOWN_WORDS = 15  # per topic, with intervals


@dataclass(frozen=True, eq=False)
class Chain:
    """One chain of B blocks of sweeps, S of them sampled after burn-in.

    log_likelihood: (B,) of words and topics, nats per token, at the end of every block.
    alpha: (B, K) prior of the proportions at the end of every block.
    topic_counts: S sparse matrices (K, V), tokens of a word in a topic.
    theta: (D, K) float32, mean over the samples, for the documents that have tokens.
    shares: (S, K) mean proportions in each sample.
    """

    log_likelihood: np.ndarray
    alpha: np.ndarray
    topic_counts: Sequence[sparse.csr_matrix]
    theta: np.ndarray
    shares: np.ndarray

    def mean_counts(self, eta: float) -> np.ndarray:
        """Topic counts (K, V) float64 averaged over the samples, plus eta."""
        total = sum(self.topic_counts[1:], start=self.topic_counts[0])
        return total.toarray() / len(self.topic_counts) + eta

    @property
    def sampled_likelihood(self) -> np.ndarray:
        """Log-likelihood (S,) of the sampled blocks."""
        return self.log_likelihood[-len(self.topic_counts) :]


@dataclass(frozen=True, eq=False)
class Chains:
    """Chains of one corpus from different seeds; `chosen` has the highest mean likelihood after burn-in.

    Topics of different chains are not averaged: they may be different modes, in another order.
    rows: (D,) rows of the corpus, the documents of theta.
    """

    chains: Sequence[Chain]
    seeds: Sequence[int]
    sweeps: np.ndarray
    eta: float
    rows: np.ndarray

    @property
    def chosen(self) -> int:
        return int(np.argmax([chain.sampled_likelihood.mean() for chain in self.chains]))

    def facts(self) -> dict[str, Any]:
        """Facts for result.json, as plain types; R-hat of the likelihood is None for too few samples."""
        sampled = np.stack([chain.sampled_likelihood for chain in self.chains])
        r_hats = {"r_hat": split_r_hat(sampled), "ranked_r_hat": ranked_r_hat(sampled)}
        return {
            "chosen_chain": self.chosen,
            "chain_seeds": list(self.seeds),
            "num_samples": sampled.shape[1],
            "burn_in": int(self.sweeps[-sampled.shape[1] - 1]) if sampled.shape[1] < len(self.sweeps) else 0,
            "log_likelihood": [float(mean) for mean in sampled.mean(axis=1)],
            **{name: value if math.isfinite(value) else None for name, value in r_hats.items()},
        }

    def save(self, folder: Path) -> None:
        """Write chains.npz and chains.json.

        chains.npz: sweeps (B,), log_likelihood (M, B), alpha (M, B, K), beta (M, K, V), shares (M, S, K);
        for the chosen chain rows (D,), theta (D, K), words (K, T), and mean, low and high of their beta.
        """
        chosen = self.chains[self.chosen]
        beta = np.stack([_rows_to_one(chain.mean_counts(self.eta)) for chain in self.chains])
        words = np.argsort(-beta[self.chosen], axis=1, kind="stable")[:, :SHOWN_WORDS]
        with atomic_file(folder / "chains.npz") as stream:
            np.savez_compressed(
                stream,
                sweeps=self.sweeps,
                log_likelihood=np.stack([chain.log_likelihood for chain in self.chains]),
                alpha=np.stack([chain.alpha for chain in self.chains]),
                beta=beta.astype(np.float32),
                rows=self.rows,
                theta=chosen.theta,
                shares=np.stack([chain.shares for chain in self.chains]),
                words=words,
                **self._intervals(chosen, words),
            )
        with atomic_file(folder / "chains.json") as stream:
            stream.write(json.dumps(self.facts(), indent=1, allow_nan=False).encode())

    def _intervals(self, chain: Chain, words: np.ndarray) -> dict[str, Any]:
        """Mean and bounds of the 90 % interval of beta over the samples, each (K, T)."""
        topics = np.arange(len(words))[:, None]
        samples = np.empty((len(chain.topic_counts), *words.shape))
        for number, counts in enumerate(chain.topic_counts):
            totals = np.asarray(counts.sum(axis=1)) + self.eta * counts.get_shape()[1]
            samples[number] = (np.asarray(counts[topics, words].todense()) + self.eta) / totals
        low, high = np.quantile(samples, INTERVAL, axis=0)
        return {"mean": samples.mean(axis=0), "low": low, "high": high}


def _rows_to_one(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(axis=1, keepdims=True)
