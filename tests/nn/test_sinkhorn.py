"""Optimal transport plans: marginals, values and gradients against iterations unrolled in float64."""

import math

import pytest
import torch

from topiclab.nn.sinkhorn import plan_rows, regularized_cost, sinkhorn_plan

SHAPES = [(40, 6), (6, 40), (5, 5), (30, 1)]


def problem(num_rows, num_columns, spread=3.0, dtype=torch.float64):
    """Draw costs and free weights of both marginals, all with gradients."""
    torch.manual_seed(num_rows * 100 + num_columns)
    cost = spread * torch.rand(num_rows, num_columns, dtype=dtype)
    rows, columns = (torch.randn(size, dtype=dtype) for size in (num_rows, num_columns))
    return [tensor.requires_grad_() for tensor in (cost, rows, columns)]


def unrolled(cost, log_rows, log_columns, iterations=500):
    """Compute the plan by plain log-domain iterations, which autograd differentiates one by one."""
    f, g = torch.zeros_like(log_rows), torch.zeros_like(log_columns)
    for _ in range(iterations):
        g = log_columns - torch.logsumexp(f.unsqueeze(1) - cost, 0)
        f = log_rows - torch.logsumexp(g - cost, 1)
    return (f.unsqueeze(1) + g - cost).exp()


def implicit(cost, log_rows, log_columns, tolerance=1e-13, iterations=100_000):
    start = torch.zeros_like(log_columns)
    return sinkhorn_plan(cost, log_rows, log_columns, start, tolerance, iterations)[0]


def value_and_gradients(plan_of, functional, arrays):
    cost, rows, columns = arrays
    plan = plan_of(cost, rows.log_softmax(0), columns.log_softmax(0))
    value = functional(plan, cost)
    return plan.detach(), value.detach(), torch.autograd.grad(value, arrays, allow_unused=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["transport", "likelihood", "random"])
def test_values_and_gradients_equal_unrolled_iterations(shape, name):
    weights = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    functional = {
        "transport": lambda plan, cost: (plan * cost).sum(),
        "likelihood": lambda plan, _: -((plan @ plan.T.detach() + 1e-3).log()).sum() + plan.square().sum(),
        "random": lambda plan, _: (plan * weights).sum(),
    }[name]
    arrays = problem(*shape)
    expected = value_and_gradients(unrolled, functional, arrays)
    found = value_and_gradients(implicit, functional, arrays)
    torch.testing.assert_close(found[:2], expected[:2], rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(found[2], expected[2], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_the_envelope_gradient_is_that_of_the_regularised_cost():
    arrays = problem(30, 5)

    def functional(plan, cost):
        return (plan * cost).sum() + (plan * plan.log()).sum() - plan.sum()

    _, value, (expected, *_) = value_and_gradients(unrolled, functional, arrays)
    cost, rows, columns = arrays
    plan = implicit(cost, rows.log_softmax(0), columns.log_softmax(0))
    ours = regularized_cost(cost, plan)
    torch.testing.assert_close(ours.detach(), value, rtol=1e-9, atol=0)
    torch.testing.assert_close(torch.autograd.grad(ours, cost)[0], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(500, 20), (20, 500), (3, 2), (1, 4)])
@pytest.mark.parametrize("spread", [0.1, 10.0, 300.0])
def test_marginals_hold_in_float32(shape, spread):
    cost, rows, columns = problem(*shape, spread=spread, dtype=torch.float32)
    plan, _ = sinkhorn_plan(cost, rows.log_softmax(0), columns.log_softmax(0), torch.zeros(shape[1]), 0.005)
    torch.testing.assert_close(plan.sum(1), rows.softmax(0), rtol=1e-4, atol=1e-8)
    assert (plan.sum(0) - columns.softmax(0)).abs().sum() <= 0.0051


def test_costs_whose_exponentials_underflow():
    """Every exp(-cost) is 0 in float32; a column constant makes half the columns unreachable from zeros."""
    cost, rows, columns = problem(60, 8, spread=4.0, dtype=torch.float32)
    log_rows, log_columns = rows.log_softmax(0), columns.log_softmax(0)
    zeros = torch.zeros(8)
    expected, _ = sinkhorn_plan(cost, log_rows, log_columns, zeros, 1e-6)
    far = cost + 500 + torch.tensor([0.0, 1000.0] * 4)
    plan, potential = sinkhorn_plan(far, log_rows, log_columns, zeros, 1e-6)
    torch.testing.assert_close(plan, expected, rtol=2e-3, atol=1e-6)
    assert torch.isfinite(potential).all()
    grad = torch.autograd.grad(plan.square().sum(), cost)[0]
    assert torch.isfinite(grad).all()


def test_nearly_one_to_one_plans_have_finite_gradients():
    cost = 80 * (1 - torch.eye(6)).repeat(10, 1) + torch.rand(60, 6)
    cost.requires_grad_()
    uniform = (torch.full((60,), -math.log(60)), torch.full((6,), -math.log(6)))
    plan, _ = sinkhorn_plan(cost, *uniform, torch.zeros(6))
    grad = torch.autograd.grad((plan * torch.randn(60, 6)).sum(), cost)[0]
    assert torch.isfinite(grad).all()
    assert grad.abs().max() < 1e-3


def test_constants_of_rows_and_columns_change_no_plan():
    cost, rows, columns = problem(40, 6)
    moved = cost + torch.randn(40, 1, dtype=torch.float64) + 5 * torch.randn(6, dtype=torch.float64)
    marginals = rows.log_softmax(0), columns.log_softmax(0)
    torch.testing.assert_close(implicit(moved, *marginals), implicit(cost, *marginals), rtol=1e-9, atol=1e-12)


def test_the_potential_gives_each_row_and_starts_the_next_solve():
    cost, rows, columns = problem(200, 6, dtype=torch.float32)
    marginals = rows.log_softmax(0), columns.log_softmax(0)
    plan, potential = sinkhorn_plan(cost, *marginals, torch.zeros(6))
    closed = plan_rows(cost, potential)
    torch.testing.assert_close(plan, closed * rows.softmax(0).unsqueeze(1), rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(plan_rows(cost[:3], potential), closed[:3])
    again, same = sinkhorn_plan(cost, *marginals, potential, 0.005, iterations=0)
    torch.testing.assert_close(again, plan, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(same, potential)
    assert not potential.requires_grad


def test_the_solve_stays_in_float32_under_autocast():
    cost, rows, columns = problem(40, 6, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plan, potential = sinkhorn_plan(
            cost.bfloat16(), rows.log_softmax(0), columns.log_softmax(0), torch.zeros(6)
        )
    assert plan.dtype == potential.dtype == torch.float32
    torch.testing.assert_close(plan.sum(1), rows.softmax(0), rtol=1e-4, atol=1e-8)
