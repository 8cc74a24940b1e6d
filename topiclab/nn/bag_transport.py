"""Transport between each document's topics and its words, all under one cost."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def bag_transport(
    theta: Tensor, bags: Tensor, cost: Tensor, sharpness: float, tolerance: float, iterations: int
) -> Tensor:
    """Cost <P, cost> (B,) of the entropic plan between theta (B, K) and bags (B, V), whose rows sum to 1.

    cost: (K, V), shared by all documents, at most about 80 / sharpness, so that its exponentials are
    representable in float32.
    Gradients follow from the envelope theorem for the plan's objective: P with respect to the cost,
    log u / sharpness with respect to theta, where u is the scaling of the topics; no iteration is unrolled.
    A bag without words costs nothing.
    """
    return _BagTransport.apply(theta, bags, cost, sharpness, tolerance, iterations)  # type: ignore[return-value]


class _BagTransport(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, theta, bags, cost, sharpness, tolerance, iterations):  # type: ignore[override]
        kernel = (-sharpness * cost).exp()
        tiny = torch.finfo(theta.dtype).tiny
        has_words = (bags.sum(dim=1, keepdim=True) > 0).to(theta.dtype)
        topics = torch.full_like(theta, 1 / theta.shape[1])
        for _ in range(iterations):
            words = bags / (topics @ kernel).clamp(min=tiny)
            reached = words @ kernel.T
            error = ((topics * reached - theta) * has_words).abs().sum(dim=1).max()
            if error <= tolerance:
                break
            topics = theta / reached.clamp(min=tiny)
        words = bags / (topics @ kernel).clamp(min=tiny)
        ctx.save_for_backward(topics, words, kernel, has_words)
        ctx.sharpness = sharpness
        return (topics * (words @ (kernel * cost).T)).sum(dim=1)

    @staticmethod
    def backward(ctx: Any, grad):  # type: ignore[override]
        topics, words, kernel, has_words = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        potential = topics.clamp(min=torch.finfo(topics.dtype).tiny).log() / ctx.sharpness
        grad_theta = (potential - potential.mean(dim=1, keepdim=True)) * grad * has_words
        return grad_theta, None, kernel * ((topics * grad).T @ words), None, None, None
