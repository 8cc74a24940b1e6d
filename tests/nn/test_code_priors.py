"""Priors of code grids: visible cells, reach of the condition, agreement of both ways to compute."""

import pytest
import torch
from torch.nn import functional as F

from topiclab.nn.code_prior import draw_codes
from topiclab.nn.code_transformer import CodeTransformer
from topiclab.nn.pixelcnn import GatedPixelCNN

NUM_CODES, CONDITION_DIM = 11, 6
SHAPES = [(4, 4), (3, 5), (5, 2), (1, 6), (6, 1), (1, 1)]


def pixelcnn(**options):
    sizes = {"width": 8, "num_layers": 3, "condition_dim": CONDITION_DIM}
    return spread(GatedPixelCNN(NUM_CODES, **{**sizes, **options}))


def transformer(**options):
    sizes = {"width": 12, "num_layers": 2, "num_heads": 2, "condition_dim": CONDITION_DIM, "num_cells": 64}
    return spread(CodeTransformer(NUM_CODES, **{**sizes, **options}))


def spread(prior):
    """Make the weights large enough for every path to have an effect."""
    torch.manual_seed(1)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return prior.eval()


PRIORS = {
    "pixelcnn": pixelcnn,
    "pixelcnn, first kernel 3": lambda: pixelcnn(first_kernel=3, num_layers=5),
    "pixelcnn, kernel 5": lambda: pixelcnn(kernel=5),
    "transformer": transformer,
    "transformer, tiled prefix": lambda: transformer(prefix_length=7),
}
each_prior = pytest.mark.parametrize("name", PRIORS)


def grids(shape, num=3, seed=0):
    return torch.randint(NUM_CODES, (num, *shape), generator=torch.Generator().manual_seed(seed))


def conditions(shape, num=3):
    """Make no condition, a vector, a map coarser than the grid, and one as fine."""
    generator = torch.Generator().manual_seed(5)
    coarse = tuple(min(side, 2) for side in shape)
    sizes = [(), coarse, shape]
    return [None, *(torch.randn(num, CONDITION_DIM, *size, generator=generator) for size in sizes)]


@each_prior
@pytest.mark.parametrize("shape", SHAPES)
def test_no_logit_sees_its_own_code_or_a_later_one_and_all_earlier_ones_are_seen(name, shape):
    prior, grid = PRIORS[name](), grids(shape)
    prior = prior.double()
    condition = conditions(shape)[1].double()
    before = prior(grid, condition).flatten(2)
    num_cells = before.shape[2]
    for cell in range(num_cells):
        flipped = grid.clone()
        flipped.flatten(1)[:, cell] = (flipped.flatten(1)[:, cell] + 1) % NUM_CODES
        is_changed = (prior(flipped, condition).flatten(2) != before).any(dim=1)
        assert not is_changed[:, : cell + 1].any(), f"code {cell} reaches logits at or before it"
        if cell + 1 < num_cells and (name == "transformer" or max(shape) <= 4):
            assert is_changed[:, cell + 1].all(), f"code {cell} does not reach the next cell"


@each_prior
@pytest.mark.parametrize("shape", [(4, 4), (3, 5)])
def test_conditions_change_every_logit_and_none_is_zeros(name, shape):
    prior, grid = PRIORS[name](), grids(shape)
    without = prior(grid, None)
    for condition in conditions(shape)[1:]:
        torch.testing.assert_close(prior(grid, torch.zeros_like(condition)), without)
        is_changed = (prior(grid, condition) - without).abs() > 1e-5
        assert is_changed.any(dim=1).all(), f"a condition {tuple(condition.shape)} leaves cells as they are"


@each_prior
def test_a_coarse_map_is_stretched_over_the_grid(name):
    prior, grid = PRIORS[name](), grids((4, 4))
    coarse = conditions((4, 4))[2]
    fine = coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(prior(grid, coarse), prior(grid, fine))


@each_prior
@pytest.mark.parametrize("shape", SHAPES)
def test_cells_one_by_one_have_the_logits_of_the_whole_grid(name, shape):
    prior, grid = PRIORS[name](), grids(shape)
    for condition in conditions(shape):
        with torch.no_grad():
            whole = prior(grid, condition).flatten(2)
            single = torch.stack(list(prior.cell_logits(grid, condition)), dim=2)
        torch.testing.assert_close(single, whole, rtol=1e-5, atol=1e-5)


def recompute(prior, grid, condition):
    """Yield logits cell by cell, recomputing the whole grid each time."""
    height, width = grid.shape[1:]
    for row in range(height):
        for column in range(width):
            yield prior(grid, condition)[:, :, row, column]


@each_prior
@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.7, 3), (2.0, 1)])
def test_samples_equal_those_of_recomputed_grids(name, temperature, top_k, monkeypatch):
    prior = PRIORS[name]()
    options = {"temperature": temperature, "top_k": top_k}
    for condition in conditions((4, 5), num=16):
        kept = prior.sample(condition, (4, 5), num=16, generator=seeded(3), **options)
        with monkeypatch.context() as patch:
            patch.setattr(prior, "cell_logits", lambda *given: recompute(prior, *given))
            slow = prior.sample(condition, (4, 5), num=16, generator=seeded(3), **options)
        is_same = (kept == slow).flatten(1).all(dim=1)
        assert is_same.sum() >= 15  # the logits differ by rounding, which may change a draw near an edge
        assert kept.shape == (16, 4, 5)
        assert kept.dtype == torch.int64
        assert kept.min() >= 0
        assert kept.max() < NUM_CODES


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@each_prior
def test_samples_follow_the_probabilities_of_a_single_cell(name):
    prior = PRIORS[name]()
    condition = torch.randn(1, CONDITION_DIM, generator=seeded(0))
    drawn = prior.sample(condition, (1, 1), num=20_000, generator=seeded(1)).flatten()
    expected = prior(torch.zeros(1, 1, 1, dtype=torch.int64), condition).flatten().softmax(0)
    found = drawn.bincount(minlength=NUM_CODES) / len(drawn)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.015)


def test_codes_without_probability_are_never_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]]).expand(4, 5)
    uniform = torch.tensor([0.0, 0.25, 0.3, 1 - 2**-24])
    assert draw_codes(logits, uniform, 1.0, None).tolist() == [1, 1, 3, 3]
    assert draw_codes(logits, uniform, 1.0, 1).tolist() == [3, 3, 3, 3]


@each_prior
def test_nll_is_the_cross_entropy_of_the_logits(name):
    prior, grid = PRIORS[name](), grids((3, 4))
    condition = conditions((3, 4))[2]
    expected = F.cross_entropy(prior(grid, condition), grid, reduction="none").sum(dim=(1, 2))
    torch.testing.assert_close(prior.nll(grid, condition), expected)


@each_prior
def test_state_round_trip_and_bf16(name):
    prior, grid = PRIORS[name](), grids((4, 4))
    other = PRIORS[name]()
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(prior.state_dict())
    condition = conditions((4, 4))[2]
    assert torch.equal(other(grid, condition), prior(grid, condition))
    with torch.autocast("cpu", torch.bfloat16):
        nll = prior.nll(grid, condition)
        drawn = prior.sample(condition, (4, 4), generator=seeded(0))
    nll.mean().backward()
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll, prior.nll(grid, condition), rtol=0.05, atol=0.05)
    assert all(torch.isfinite(parameter.grad).all() for parameter in prior.parameters())
    assert drawn.max() < NUM_CODES


@pytest.mark.parametrize("name", ["pixelcnn", "transformer"])
def test_training_fits_a_rule_that_only_the_condition_tells(name):
    """The grid has one code everywhere, named by the condition, so even the first cell is certain."""
    torch.manual_seed(0)
    prior = PRIORS[name]()
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    codes = torch.randint(NUM_CODES, (64,))
    condition = F.one_hot(codes % CONDITION_DIM, CONDITION_DIM).float()
    grid = (codes % CONDITION_DIM)[:, None, None].expand(-1, 2, 3)
    optimizer = torch.optim.Adam(prior.train().parameters(), lr=0.02)
    for _ in range(50):
        optimizer.zero_grad()
        prior.nll(grid, condition).mean().backward()
        optimizer.step()
    right = prior.nll(grid, condition).mean().item()
    wrong = prior.nll(grid, condition.roll(1, dims=1)).mean().item()
    assert right < 0.5
    assert wrong > right + 1


def test_dropout_acts_in_training_and_never_in_samples():
    for prior in (pixelcnn(dropout=0.5), transformer(dropout=0.5)):
        grid = grids((3, 3))
        exact = prior(grid)
        drawn = prior.sample(None, (3, 3), num=4, generator=seeded(0))
        prior.train()
        assert not torch.allclose(prior(grid), exact)
        assert torch.equal(prior.sample(None, (3, 3), num=4, generator=seeded(0)), drawn)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pixelcnn(first_kernel=4), "first_kernel=4"),
        (lambda: pixelcnn(kernel=1), "kernel=1"),
        (lambda: transformer(num_heads=5), "num_heads=5"),
        (lambda: transformer(width=16, prefix_length=2), "not a multiple of condition_dim=6"),
        (lambda: transformer(num_cells=8)(grids((3, 3))), "num_cells=8"),
        (lambda: pixelcnn().sample(None, (2, 2)), "give num"),
        (lambda: pixelcnn().sample(torch.zeros(2, CONDITION_DIM), (2, 2), num=3), "num=3"),
        (lambda: pixelcnn().sample(None, (2, 2), num=1, temperature=0.0), "temperature=0.0"),
        (lambda: pixelcnn().sample(None, (2, 2), num=1, top_k=0), "top_k=0"),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()
