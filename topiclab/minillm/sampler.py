"""Sampling of the next token from logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampler:
    """Draws tokens; the defaults give the model's own distribution.

    In this order: tokens that already occur in the text are penalised (repetition_penalty, Keskar et al.
    2019: a positive logit is divided by it, a negative one multiplied), logits are divided by `temperature`
    (0 takes the most probable token), and the tail is cut: all but the top_k most probable tokens, all after
    the first at which the sum passes top_p (Holtzman et al. 2020), all below min_p of the most probable
    (Nguyen et al. 2024). Each cut applies to what the previous one left.
    Raises ValueError for a value out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        rules = {
            "temperature": (self.temperature >= 0, "a number from 0 on"),
            "top_k": (self.top_k is None or self.top_k >= 1, "a whole number from 1 on, or None"),
            "top_p": (0 < self.top_p <= 1, "a share above 0, up to 1"),
            "min_p": (0 <= self.min_p < 1, "a share from 0 on and below 1"),
            "repetition_penalty": (self.repetition_penalty > 0, "a number above 0; 1 penalises nothing"),
        }
        for name, (is_kept, rule) in rules.items():
            if not is_kept:
                raise ValueError(f"{name}={getattr(self, name)} is refused: give {rule}")

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0

    def draw(self, logits: Tensor, is_used: Tensor | None, generator: torch.Generator) -> Tensor:
        """Draw one token per row, (B,).

        logits: (B, V).  is_used: (B, V) bool, the tokens to penalise; None if the penalty is 1.
        """
        if self.is_greedy:
            return self.penalised(logits, is_used).argmax(dim=1)
        probabilities, tokens = self.ranked(logits, is_used)
        place = torch.multinomial(probabilities, 1, generator=generator)
        return tokens.gather(1, place).squeeze(1)

    def ranked(self, logits: Tensor, is_used: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weights to draw from, (B, n) float32, descending, 0 past the cuts, and their tokens (B, n)."""
        scaled = self.penalised(logits.float(), is_used) / self.temperature
        num = scaled.shape[1] if self.top_k is None else min(self.top_k, scaled.shape[1])
        values, tokens = scaled.topk(num, dim=1)
        weights = values.softmax(dim=1)
        if self.top_p < 1:
            before = weights.cumsum(dim=1) - weights
            weights = weights.masked_fill(before >= self.top_p, 0)
        if self.min_p > 0:
            weights = weights.masked_fill(weights < self.min_p * weights[:, :1], 0)
        return weights, tokens

    def penalised(self, logits: Tensor, is_used: Tensor | None) -> Tensor:
        """Logits (B, V) after the penalty on used tokens."""
        if is_used is None or self.repetition_penalty == 1:
            return logits
        lowered = torch.where(logits > 0, logits / self.repetition_penalty, logits * self.repetition_penalty)
        return torch.where(is_used, lowered, logits)
