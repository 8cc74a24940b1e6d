import numpy as np
import pytest
import torch
from scipy import sparse

from topiclab.data.batch import SparseCounts
from topiclab.models.base.vae import gaussian_kl
from topiclab.nn.likelihood import linear_softmax_nll, mixture_nll, softmax_nll
from topiclab.nn.product_of_experts import ProductOfExperts


@pytest.fixture
def bags():
    """Draw seven documents over eleven words, one of them empty: dense float64 counts and their nonzeros."""
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.7, (7, 11))
    dense[3] = 0
    counts = SparseCounts(sparse.csr_matrix(dense))
    return torch.tensor(dense, dtype=torch.double), counts.permuted(torch.arange(7))


def inputs(*shape):
    return torch.randn(*shape, dtype=torch.double, requires_grad=True)


def test_likelihoods_equal_the_dense_formula_in_value_and_gradient(bags):
    torch.manual_seed(0)
    dense, bow = bags
    counts = bow.counts.double()
    theta, weight, bias = inputs(7, 4).softmax(1).detach().requires_grad_(), inputs(4, 11), inputs(11)
    beta = weight.softmax(1)
    weights = torch.rand(7, dtype=torch.double)
    pairs = [
        (linear_softmax_nll(theta, weight, bias, bow, counts), (theta @ weight + bias).log_softmax(1)),
        (softmax_nll((theta @ weight).double(), bow, counts), (theta @ weight).log_softmax(1)),
        (mixture_nll(theta, beta, bow, counts), (theta @ beta).log()),
    ]
    for ours, log_probs in pairs:
        expected = -(dense * log_probs).sum(1)
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
        for one, other in zip(
            torch.autograd.grad((ours * weights).sum(), (theta, weight), retain_graph=True),
            torch.autograd.grad((expected * weights).sum(), (theta, weight), retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_linear_softmax_gradient_by_finite_differences(bags):
    _, bow = bags
    counts = bow.counts.double()
    torch.manual_seed(1)
    assert torch.autograd.gradcheck(
        lambda *three: linear_softmax_nll(*three, bow, counts), (inputs(7, 4), inputs(4, 11), inputs(11))
    )


@pytest.mark.parametrize("shift", [0, 500, -500])
def test_logits_of_any_size_give_finite_nats(bags, shift):
    _, bow = bags
    torch.manual_seed(0)
    theta, weight, bias = torch.rand(7, 4).softmax(1), torch.randn(4, 11), torch.full((11,), float(shift))
    nats = linear_softmax_nll(theta, weight, bias, bow, bow.counts)
    torch.testing.assert_close(nats, softmax_nll(theta @ weight, bow, bow.counts), rtol=1e-3, atol=1e-3)


def test_an_empty_document_costs_nothing_and_doubled_counts_cost_double(bags):
    _, bow = bags
    logits = torch.randn(7, 11)
    once = softmax_nll(logits, bow, bow.counts)
    assert once[3] == 0
    torch.testing.assert_close(softmax_nll(logits, bow, 2 * bow.counts), 2 * once)


def test_folded_batch_norm_is_batch_norm():
    torch.manual_seed(0)
    folded = ProductOfExperts(5, 30, eps=1e-3, momentum=0.1)
    plain = torch.nn.BatchNorm1d(30, eps=1e-3, momentum=0.1)
    for step in range(3):
        theta = torch.randn(20, 5).softmax(1)
        weight, bias = folded.fold(theta)
        torch.testing.assert_close(theta @ weight + bias, plain(theta @ folded.weight), rtol=1e-3, atol=1e-4)
        assert not torch.equal(weight, folded.weight), step
    folded.eval(), plain.eval()
    weight, bias = folded.fold(theta)
    torch.testing.assert_close(theta @ weight + bias, plain(theta @ folded.weight), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_fused_nll_of_the_experts_equals_batch_norm_and_log_softmax(bags, training):
    dense, bow = bags
    torch.manual_seed(0)
    experts = ProductOfExperts(4, 11, eps=1e-3, momentum=0.1).double().train(training)
    plain = torch.nn.BatchNorm1d(11, eps=1e-3, momentum=0.1).double().train(training)
    theta, weights = torch.rand(7, 4, dtype=torch.double, requires_grad=True), torch.rand(7).double()
    inputs = (theta, experts.weight, experts.bias)
    expected = -(dense * (plain(theta @ experts.weight) + experts.bias).log_softmax(1)).sum(1)
    ours = experts.nll(theta, bow, bow.counts.double())
    torch.testing.assert_close(ours, expected)
    for one, other in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(experts.running_mean, plain.running_mean)
    torch.testing.assert_close(experts.running_var, plain.running_var)


@pytest.mark.parametrize("num_docs", [7, 8])  # one normalises in the product, the other in the weights
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_fused_cross_entropy_of_soft_targets_equals_the_plain_one(num_docs, training, temperature):
    torch.manual_seed(0)
    targets = torch.rand(num_docs, 11, dtype=torch.double).softmax(1)
    experts = ProductOfExperts(4, 11, eps=1e-3, momentum=0.1).double().train(training)
    experts.bias.data.normal_()
    plain = torch.nn.BatchNorm1d(11, eps=1e-3, momentum=0.1).double().train(training)
    theta = torch.rand(num_docs, 4, dtype=torch.double, requires_grad=True)
    weights = torch.rand(num_docs).double()
    inputs = (theta, experts.weight, experts.bias)
    logits = plain(theta @ experts.weight) + experts.bias
    expected = -(targets * (logits / temperature).log_softmax(1)).sum(1)
    ours = experts.soft_nll(theta, targets, temperature)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(experts.running_var, plain.running_var)


def test_kl_equals_torch_distributions():
    mu, logvar, prior_mean, prior_logvar = (torch.randn(*shape) for shape in ((6, 3), (6, 3), (3,), (3,)))
    posterior = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    prior = torch.distributions.Normal(prior_mean, (0.5 * prior_logvar).exp())
    expected = torch.distributions.kl_divergence(posterior, prior).sum(1)
    torch.testing.assert_close(gaussian_kl(mu, logvar, prior_mean, prior_logvar), expected)
    same = prior_mean.expand(6, 3), prior_logvar.expand(6, 3)
    torch.testing.assert_close(gaussian_kl(*same, prior_mean, prior_logvar), torch.zeros(6))
    shapes = (6, 3), (6, 3), (3,), (3,)
    inputs = [torch.randn(*shape, dtype=torch.double, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(gaussian_kl, inputs)
