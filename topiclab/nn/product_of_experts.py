"""The decoder of ProdLDA: word logits BatchNorm1d(theta @ weight), normalised without a pass over B x V."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.data.batch import Nonzeros
from topiclab.nn.likelihood import linear_softmax_nll, tempered_nll

MAX_FUSED_DOCS = 2048  # a batch-normalised value is at most sqrt(B - 1), whose exponential float32 holds


class ProductOfExperts(nn.Module):
    """BatchNorm1d(theta @ weight) with scale 1 and a shift (Srivastava & Sutton 2017).

    has_shift: learn the shift; False is affine=False.

    The batch mean of theta @ weight is mean(theta) @ weight, its variance diag(weight^T Cov(theta) weight),
    so normalising scales the columns of weight (K x V), not the logits (B x V). A test pins the agreement
    with nn.BatchNorm1d.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, num_topics: int, num_words: int, eps: float, momentum: float, has_shift: bool = True
    ) -> None:
        super().__init__()
        self.make_weight(num_topics, num_words)
        self.bias = nn.Parameter(torch.zeros(num_words), requires_grad=has_shift)
        self.eps, self.momentum = eps, momentum
        self.register_buffer("running_mean", torch.zeros(num_words))
        self.register_buffer("running_var", torch.ones(num_words))

    def make_weight(self, num_topics: int, num_words: int) -> None:
        """Create the parameter behind `weight` (K, V)."""
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_topics, num_words)))

    def forward(self, theta: Tensor) -> Tensor:
        """Map theta (B, K) to word logits (B, V)."""
        weight, bias = self.fold(theta)
        return torch.addmm(bias, theta, weight)

    def nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        """Nats per document (B,) of counts (n,) at the nonzeros of bow."""
        if not self.training or len(theta) > MAX_FUSED_DOCS:
            return linear_softmax_nll(theta, *self.fold(theta), bow, counts)
        places = bow.docs * bow.num_words + bow.words
        return self._normed_nll(theta, (counts, bow.docs, places), 1.0)

    def soft_nll(self, theta: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """Cross-entropy (B,) of target distributions (B, V) with softmax(logits / temperature)."""
        if not self.training or len(theta) > MAX_FUSED_DOCS:
            return tempered_nll(self(theta), targets, temperature)
        if len(theta) >= 2 * len(self.weight):
            return self._normed_nll(theta, (targets, None, None), temperature)
        # A few passes over B x V cost less here than the products for the statistics, K x K and K x V.
        running = self.running_mean, self.running_var
        normed = F.batch_norm(theta @ self.weight, *running, None, self.bias, True, self.momentum, self.eps)
        return _SoftNLL.apply(normed, targets, temperature)  # type: ignore[return-value]

    def _normed_nll(self, theta: Tensor, targets: tuple[Tensor, Any, Any], temperature: float) -> Tensor:
        fixed = (*targets, self.eps, temperature)
        nll, mean, var = _BatchNormedNLL.apply(theta, self.weight, self.bias, *fixed)  # type: ignore[misc]
        self.update_running(mean, var, len(theta))
        return nll

    def fold(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Weight (K, V) and bias (V,) with the normalisation folded in; logits are theta @ weight + bias."""
        weight, mean, var = self.weight, self.running_mean, self.running_var
        if self.training:
            mean_theta = theta.mean(dim=0)
            centred = theta - mean_theta
            mean = mean_theta @ weight
            var = (weight * (centred.T @ centred / len(theta) @ weight)).sum(dim=0)
            self.update_running(mean, var, len(theta))
        scale = (var + self.eps).rsqrt()
        return weight * scale, self.bias - mean * scale

    @torch.no_grad()
    def update_running(self, mean: Tensor, var: Tensor, num_docs: int) -> None:
        """Update the running statistics as BatchNorm1d does; var (V,) is the biased variance."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (num_docs / max(1, num_docs - 1)), self.momentum)


class _BatchNormedNLL(torch.autograd.Function):
    """Cross-entropy of targets with softmax((BatchNorm(theta @ weight) + bias) / temperature).

    targets: (B, V), or counts (n,) with their documents and places in the flattened (B, V).

    As in likelihood.py the counts are subtracted from the exponentials in place and row factors stay on the
    (B, K) side, so the backward pass costs two products over B x V; the statistics add K x K and K x V ones.
    """

    @staticmethod
    def forward(ctx: Any, theta, weight, bias, targets, docs, places, eps, temperature):  # type: ignore[override]
        num_docs = len(theta)
        mean_theta = theta.mean(dim=0)
        centred = theta - mean_theta
        cov_weight = (centred.T @ centred / num_docs) @ weight
        var = (weight * cov_weight).sum(dim=0)
        scale = (var + eps).rsqrt() / temperature
        scaled = weight * scale
        logits = torch.addmm(bias / temperature, centred, scaled)
        if docs is None:
            mass, said = targets.sum(dim=1), torch.linalg.vecdot(targets, logits)
            total = logits.exp_().sum(dim=1)
            logits.addcmul_(targets, (total / mass.clamp(min=1e-30)).unsqueeze(1), value=-1)
        else:
            mass = logits.new_zeros(num_docs).index_add_(0, docs, targets)
            said = torch.zeros_like(mass).index_add_(0, docs, targets * logits.view(-1)[places])
            total = logits.exp_().sum(dim=1)
            logits.view(-1).index_add_(0, places, targets * (total / mass.clamp(min=1e-30))[docs], alpha=-1)
        nll = mass * total.log() - said
        ctx.temperature = temperature
        ctx.save_for_backward(centred, weight, cov_weight, scale, scaled, logits, mass / total)
        mean = mean_theta @ weight
        ctx.mark_non_differentiable(mean, var)
        return nll, mean, var

    @staticmethod
    def backward(ctx: Any, grad, _mean, _var):  # type: ignore[override]
        centred, weight, cov_weight, scale, scaled, residual, factor = ctx.saved_tensors
        rows = (grad * factor).unsqueeze(1)
        grad_scaled_and_bias = torch.cat([centred * rows, rows], dim=1).T @ residual
        grad_scaled, grad_bias = grad_scaled_and_bias[:-1], grad_scaled_and_bias[-1] / ctx.temperature
        grad_var = (grad_scaled * weight).sum(dim=0) * scale.pow(3) * (-0.5 * ctx.temperature**2)
        grad_weight = torch.addcmul(grad_scaled * scale, cov_weight, grad_var, value=2)
        grad_cov = (weight * grad_var) @ weight.T
        grad_centred = (residual @ scaled.T) * rows
        grad_centred = torch.addmm(grad_centred, centred, grad_cov, alpha=2 / len(centred))
        return (grad_centred - grad_centred.mean(dim=0), grad_weight, grad_bias, *(None,) * 5)


class _SoftNLL(torch.autograd.Function):
    """Cross-entropy of targets (B, V) with softmax(logits / temperature), without subtracting the maximum.

    The forward pass leaves the gradient of the logits up to a factor per row.
    """

    @staticmethod
    def forward(ctx: Any, logits, targets, temperature):  # type: ignore[override]
        mass, said = targets.sum(dim=1), torch.linalg.vecdot(targets, logits)
        residual = (logits * (1 / temperature)).exp_()
        total = residual.sum(dim=1)
        ctx.temperature = temperature
        ctx.save_for_backward(residual.mul_((mass / total).unsqueeze(1)).sub_(targets))
        return mass * total.log() - said / temperature

    @staticmethod
    def backward(ctx: Any, grad):  # type: ignore[override]
        (residual,) = ctx.saved_tensors
        return residual * (grad / ctx.temperature).unsqueeze(1), None, None
