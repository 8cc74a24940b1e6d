"""The sampler of the mini-LLM against NumPy: order of the cuts, and frequencies of the draws."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from topiclab.minillm.sampler import Sampler

V = 40


def oracle(logits, used, *, temperature=1.0, top_k=None, top_p=1.0, min_p=0.0, repetition_penalty=1.0):
    """Compute probabilities (V,) of one row in float64, one loop per step."""
    logits = logits.double().numpy().copy()
    for token in used:
        factor = 1 / repetition_penalty if logits[token] > 0 else repetition_penalty
        logits[token] *= factor
    p = np.exp(logits / temperature - (logits / temperature).max())
    order = sorted(range(len(p)), key=lambda token: -p[token])
    p[order[top_k:] if top_k else []] = 0
    p /= p.sum()
    total = 0.0
    for token in order:
        if total >= top_p:
            p[token] = 0
        total += p[token]
    p[p < min_p * p.max()] = 0
    return p / p.sum()


def distribution(sampler, logits, used):
    is_used = torch.zeros(logits.shape, dtype=torch.bool)
    for row, tokens in enumerate(used):
        is_used[row, list(tokens)] = True
    weights, tokens = sampler.ranked(logits, is_used)
    whole = torch.zeros(logits.shape).scatter(1, tokens, weights)
    return (whole / whole.sum(dim=1, keepdim=True)).numpy()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5},
        {"top_k": 7},
        {"top_k": 400},
        {"top_p": 0.6},
        {"min_p": 0.2},
        {"repetition_penalty": 1.7},
        {"temperature": 0.7, "top_k": 12, "top_p": 0.8, "min_p": 0.05, "repetition_penalty": 1.3},
        {"temperature": 2.5, "top_k": 3, "top_p": 0.99, "min_p": 0.5, "repetition_penalty": 0.8},
    ],
)
def test_the_distribution_is_that_of_numpy(options):
    logits = 3 * torch.randn(16, V, generator=torch.Generator().manual_seed(1))
    used = [range(row, row + 9) for row in range(16)]
    found = distribution(Sampler(**options), logits, used)
    for row in range(16):
        np.testing.assert_allclose(found[row], oracle(logits[row], used[row], **options), atol=1e-6)


def test_frequencies_are_the_probabilities():
    options = {"temperature": 1.3, "top_k": 12, "top_p": 0.9, "repetition_penalty": 1.2}
    logits = 2 * torch.randn(1, V, generator=torch.Generator().manual_seed(2))
    is_used = torch.zeros(1, V, dtype=torch.bool)
    is_used[0, :5] = True
    expected = oracle(logits[0], range(5), **options)
    generator = torch.Generator().manual_seed(0)
    rows = logits.expand(20_000, -1), is_used.expand(20_000, -1)
    counts = torch.bincount(Sampler(**options).draw(*rows, generator), minlength=V).numpy()
    kept = expected > 0
    assert 3 < kept.sum() < 12
    assert counts[~kept].sum() == 0
    assert chisquare(counts[kept], 20_000 * expected[kept]).pvalue > 0.01
    wrong = oracle(logits[0], (), **options)[kept]
    assert chisquare(counts[kept], 20_000 * wrong / wrong.sum()).pvalue < 1e-6


def test_the_token_at_which_the_sum_passes_top_p_stays():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    for top_p, num in ((0.01, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4), (1.0, 4)):
        assert (distribution(Sampler(top_p=top_p), logits, [[]]) > 0).sum() == num


def test_the_penalty_lowers_tokens_of_either_sign():
    logits = torch.tensor([[2.0, -2.0, 1.0, -1.0]])
    is_used = torch.tensor([[True, True, False, False]])
    lowered = Sampler(repetition_penalty=2.0).penalised(logits, is_used)
    assert lowered.tolist() == [[1.0, -4.0, 1.0, -1.0]]


def test_temperature_0_takes_the_most_probable_token():
    logits = torch.randn(50, V, generator=torch.Generator().manual_seed(3))
    sampler = Sampler(temperature=0, top_p=0.1)
    assert torch.equal(sampler.draw(logits, None, torch.Generator()), logits.argmax(dim=1))
    is_used = torch.zeros(50, V, dtype=torch.bool).scatter(1, logits.argmax(dim=1, keepdim=True), True)
    others = Sampler(temperature=0, repetition_penalty=100.0).draw(logits, is_used, torch.Generator())
    assert (others != logits.argmax(dim=1)).all()


def test_a_seed_draws_the_same_tokens():
    logits = torch.randn(64, V, generator=torch.Generator().manual_seed(4))
    draws = [Sampler().draw(logits, None, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": -0.1}, "temperature=-0.1 is refused: give a number from 0 on"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"min_p": 1.0}, "min_p=1.0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty=0.0"),
    ],
)
def test_values_out_of_range(options, told):
    with pytest.raises(ValueError, match=told):
        Sampler(**options)
