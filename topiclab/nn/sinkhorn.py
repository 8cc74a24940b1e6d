"""Entropic optimal transport (Cuturi 2013): plans whose gradient needs no unrolled iterations.

The plan between marginals a (N,) and b (M,) under costs C (N, M), already divided by the regularisation, is
P = exp(f + g - C). Rows are always exact, P_n = a_n softmax(g - C_n), so only the column potential g needs to
be kept. It warm-starts the next solve and yields the row of a document that the solve never saw. Memory is a
few N x M arrays for any number of iterations.
"""

from __future__ import annotations

from typing import Any, TypedDict

import torch
from torch import Tensor

from topiclab.limits import Count, Positive

TOLERANCE, ITERATIONS = 0.005, 1000
MAX_SCALING = 1e6  # beyond, entries that underflowed in the plan could matter: fold the scaling into g
CHECKS_EVERY = 10  # iterations between two checks of the error on a GPU, where a check waits for the device
RIDGE = 1e-10  # of the adjoint system, for topics that share no row with any other


class SinkhornOptions(TypedDict):
    """When `sinkhorn_plan` stops."""

    tolerance: Positive
    iterations: Count


def sinkhorn_plan(
    cost: Tensor,
    log_rows: Tensor,
    log_columns: Tensor,
    potential: Tensor,
    tolerance: float = TOLERANCE,
    iterations: int = ITERATIONS,
) -> tuple[Tensor, Tensor]:
    """Plan (N, M) and its column potential (M,), which carries no gradient.

    cost: (N, M), divided by the regularisation.  log_rows (N,), log_columns (M,): log marginals of mass 1.
    potential: (M,), where the iterations start: zeros, or that of the last solve.
    tolerance: L1 error of the column marginals at which the iterations stop; row marginals are exact.
    Gradients of the plan are those of the fixed point (see `_Plan`); that of log_columns is up to a constant.
    """
    with torch.autocast(cost.device.type, enabled=False):
        dtype = torch.promote_types(cost.dtype, torch.float32)
        arrays = (tensor.to(dtype) for tensor in (cost, log_rows, log_columns, potential.detach()))
        return _Plan.apply(*arrays, tolerance, iterations)  # type: ignore[return-value]


def plan_rows(cost: Tensor, potential: Tensor) -> Tensor:
    """Rows (N, M) of the plan of this potential, each scaled to sum 1 and independent of the others."""
    return (potential - cost).softmax(dim=1)


def regularized_cost(cost: Tensor, plan: Tensor) -> Tensor:
    """<P, C> + <P, log P - 1>, the plan's objective; by the envelope theorem its gradient in C is P."""
    plan = plan.detach()
    return (plan * cost).sum() + torch.xlogy(plan, plan).sum() - plan.sum()


@torch.no_grad()
def solve(
    cost: Tensor, log_rows: Tensor, log_columns: Tensor, potential: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Plan and column potential by stabilised iterations (Schmitzer 2019), two matrix-vector products each.

    Exponentials are recomputed only when the scaling exceeds what float32 can resolve.
    """
    rows, columns = log_rows.exp(), log_columns.exp()
    check = CHECKS_EVERY if cost.is_cuda else 1
    while True:
        plan = plan_rows(cost, potential) * rows.unsqueeze(1)
        sums = plan.sum(dim=0)
        row_scale, scale = None, torch.ones_like(columns)
        growth = columns / sums
        if iterations <= 0 or (sums - columns).abs().sum() <= tolerance:
            return plan, potential
        if not growth.max() <= MAX_SCALING:  # a column that no row reaches: the exact update, in logarithms
            scores = log_rows.unsqueeze(1) - torch.logsumexp(potential - cost, 1, keepdim=True) - cost
            potential = log_columns - torch.logsumexp(scores, 0)
            iterations -= 1
            continue
        while iterations > 0:
            iterations -= 1
            scale = columns / sums if row_scale is None else columns / (plan.T @ row_scale)
            row_scale = rows / (plan @ scale)
            if iterations % check == 0:
                error = (scale * (plan.T @ row_scale) - columns).abs().sum()
                if error <= tolerance or not scale.max() / scale.min() <= MAX_SCALING:
                    break
        assert row_scale is not None
        potential = potential + scale.log()
        if scale.max() / scale.min() <= MAX_SCALING:
            return plan.mul_(scale).mul_(row_scale.unsqueeze(1)), potential


class _Plan(torch.autograd.Function):
    """Differentiates the fixed point, not the iterations.

    With G = dL/dP, the total derivative of P = exp(f + g - C) under fixed marginals is linear in df and dg,
    whose adjoint system is [diag(a), P; P^T, diag(b)] [x; y] = [(G P) 1; (G P)^T 1]. Eliminating the larger
    side leaves the Laplacian of the graph P^T diag(1/a) P, M x M, singular for constants: one product of
    N M^2, one solve of M^3. Then dL/dC = P (x + y - G), dL/dlog a = a x, dL/dlog b = b y.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, cost, log_rows, log_columns, potential, tolerance, iterations
    ):
        plan, potential = solve(cost, log_rows, log_columns, potential, tolerance, iterations)
        ctx.save_for_backward(plan)
        ctx.mark_non_differentiable(potential)
        return plan, potential

    @staticmethod
    def backward(ctx: Any, grad, _potential):  # type: ignore[override]
        (plan,) = ctx.saved_tensors
        if plan.shape[0] >= plan.shape[1]:
            return *_adjoint(plan, grad), None, None, None
        grad_cost, grad_columns, grad_rows = _adjoint(plan.T, grad.T)
        return grad_cost.T, grad_rows, grad_columns, None, None, None


def _adjoint(plan: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of cost, log rows and log columns; plan and grad (N, M) with N >= M."""
    tiny = torch.finfo(plan.dtype).tiny
    rows, columns = plan.sum(dim=1, keepdim=True).clamp(min=tiny), plan.sum(dim=0).clamp(min=tiny)
    mean = (plan * grad).sum(dim=1, keepdim=True) / rows
    centred = grad - mean
    centred *= plan
    potentials = _solve_laplacian(plan.T @ (plan / rows), columns, centred.sum(dim=0))
    mean_potential = (plan @ potentials).unsqueeze(1) / rows
    grad_cost = torch.addcmul(-centred, plan, potentials - mean_potential)
    return grad_cost, (rows * (mean - mean_potential)).squeeze(1), columns * potentials


def _solve_laplacian(weights: Tensor, columns: Tensor, target: Tensor) -> Tensor:
    """Solve (diag(W 1) - W) y = target for y with columns @ y = 0.

    weights: W (M, M), symmetric and nonnegative.  target: (M,), of sum 0.  The diagonal is summed from the
    off-diagonal weights, so that nothing cancels where plans are nearly one-to-one.
    """
    laplacian = -weights.double()
    laplacian.fill_diagonal_(0)
    mass = columns.double()
    laplacian.diagonal().copy_(RIDGE * mass - laplacian.sum(dim=1))
    return torch.linalg.solve(laplacian + mass.outer(mass), target.double()).to(weights.dtype)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M) between rows of left (N, E) and right (M, E)."""
    lengths = left.square().sum(dim=1, keepdim=True) + right.square().sum(dim=1)
    return torch.addmm(lengths, left, right.T, alpha=-2)
