"""Initial values of topic and word vectors in one space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_DIRECTION = 1e-3  # singular values of the topics below this share of the largest fit noise


def unit_noise(size: int, dim: int) -> Tensor:
    """Rows (size, dim) of length 1 in random directions."""
    return F.normalize(nn.init.trunc_normal_(torch.empty(size, dim)), dim=1)


def fit_products(topics: Tensor, products: Tensor, start: Tensor) -> Tensor:
    """Vectors (V, E) nearest to start with these products with the topics' offsets from their mean.

    topics: (K, E).  products: (K, V); only differences between topics are fitted.
    """
    offsets = (topics - topics.mean(dim=0)).double()
    target = (products - products.mean(dim=0)).double()
    start = start.double()
    return (start + (torch.linalg.pinv(offsets, rtol=MIN_DIRECTION) @ (target - offsets @ start.T)).T).float()
