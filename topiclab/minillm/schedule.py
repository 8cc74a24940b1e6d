"""Learning rates over a training run, as shares of the peak."""

from __future__ import annotations

import math
from typing import TypedDict


class Schedule(TypedDict):
    """Keyword arguments of `share_of_peak`, which says what each does."""

    kind: str
    warmup: float
    decay: float
    floor: float


def share_of_peak(
    step: int, num_steps: int, *, kind: str, warmup: float, decay: float, floor: float
) -> float:
    """Learning rate of a step (from 0) divided by its peak, 0..1.

    wsd: rises over the first `warmup` share of the steps, stays, falls linearly over the last `decay` share
    to `floor` (warmup-stable-decay, Hu et al. 2024).  cosine: falls along a half cosine instead, from the end
    of the warm-up on (Loshchilov & Hutter 2017).  constant: rises, then stays.
    """
    num_warm = round(warmup * num_steps)
    if step < num_warm:
        return (step + 1) / num_warm
    if kind == "constant":
        return 1.0
    if kind == "cosine":
        progress = (step - num_warm) / max(num_steps - num_warm, 1)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
    num_falling = round(decay * num_steps)
    left = num_steps - step
    return 1.0 if left > num_falling else floor + (1 - floor) * left / (num_falling + 1)
