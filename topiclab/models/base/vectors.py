"""Topic and word vectors in one space: where they start."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_DIRECTION = 1e-3  # of the topics' spread, as a share of the largest: smaller ones fit noise


def unit_noise(size: int, dim: int) -> Tensor:
    """(size, dim) rows of length 1 in random directions."""
    return F.normalize(nn.init.trunc_normal_(torch.empty(size, dim)), dim=1)


def fit_products(topics: Tensor, products: Tensor, start: Tensor) -> Tensor:
    """The vectors (V, E) nearest to start that have these products with the topics' offsets from their mean.

    topics: (K, E).  products: (K, V), of which only differences between topics are fitted.
    """
    offsets = (topics - topics.mean(dim=0)).double()
    target = (products - products.mean(dim=0)).double()
    start = start.double()
    return (start + (torch.linalg.pinv(offsets, rtol=MIN_DIRECTION) @ (target - offsets @ start.T)).T).float()
