"""LogisticNormalVAE against its formulas: a step of ProdLDA and of THETA, free bits, start and seeds."""

from types import SimpleNamespace

import numpy as np
import planted
import pytest
import torch
from scipy import sparse
from torch.nn import functional as F

from topiclab.data.soft_labels import SoftLabels
from topiclab.models.base.training import train
from topiclab.models.base.warmstart import cluster_words, start_clusters
from topiclab.pipeline.build import make_model

PRODLDA = [
    "model=prodlda",
    "model.is_prior_learned=true",
    "model.encoder.reads=bow",
    "model.encoder.activation=softplus",
    "model.encoder.hidden_batch_norm=false",
    "model.encoder.head_batch_norm=true",
    "objective.weight=1",
    "objective.length_power=1",
]
THETA = ["model=theta", "model.prior_variance=1", "objective.weight=1", "objective.length_power=0"]
NO_DROPOUT = ["model.encoder.dropout=0", "model.encoder.inner_dropout=0", "model.theta_dropout=0"]
NOISE_SEED = 3


def loaded(*overrides):
    """Make a model with the planted corpus loaded and its weights moved off the start, and a batch."""
    datamodule = planted.datamodule()
    model = make_model(planted.configuration(*overrides, "model.init=random"), datamodule)
    model.initialize(datamodule)
    model.load_documents(datamodule)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("prior_") and parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    batch = next(iter(model.batches(model._train_rows, model.batch_size)))
    return model.train(), batch


def leaves(model):
    """Copies of the learned weights by name, for a separate formula."""
    learned = {name: each for name, each in model.named_parameters() if each.requires_grad}
    return learned, {name: each.detach().clone().requires_grad_() for name, each in learned.items()}


def dense_counts(batch, num_words):
    counts = torch.zeros(len(batch.rows), num_words)
    return counts.index_put((batch.bow.docs, batch.bow.words), batch.bow.counts)


def batch_norm(values, shift, scale=None):
    """Normalise over the documents of the batch, with the published epsilon."""
    centred = values - values.mean(dim=0)
    normed = centred / (values.var(dim=0, correction=0) + 1e-5).sqrt()
    return (normed if scale is None else scale * normed) + shift


def sampled_theta(mu, logvar):
    """Compute softmax(mu + sigma * noise) with the noise of NOISE_SEED."""
    torch.manual_seed(NOISE_SEED)
    return torch.softmax(mu + logvar.exp().sqrt() * torch.randn(mu.shape), dim=1)


def published_kl(mu, logvar, mean, variance):
    """0.5 * [sum exp(logvar) / s0 + sum (m0 - mu)^2 / s0 - K + sum log s0 - sum logvar] of each document."""
    terms = logvar.exp() / variance + (mean - mu).square() / variance - 1 + variance.log() - logvar
    return 0.5 * terms.sum(dim=1)


def check_step(model, batch, learned, expected, copies):
    """Compare each document's losses and the gradients of their means with those expected by copies."""
    torch.manual_seed(NOISE_SEED)
    losses = model.losses(batch)
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-4, atol=1e-4, msg=name)
    assert expected["kl"].mean() > 0.1  # its gradient is not lost beside that of the likelihood
    for name in expected:
        found = torch.autograd.grad(
            losses[name].mean(), list(learned.values()), retain_graph=True, materialize_grads=True
        )
        wanted = torch.autograd.grad(
            expected[name].mean(), list(copies.values()), retain_graph=True, materialize_grads=True
        )
        for weight, ours, theirs in zip(learned, found, wanted, strict=True):
            scale = theirs.abs().max().item()
            torch.testing.assert_close(
                ours, theirs, rtol=1e-3, atol=1e-3 * scale + 1e-5, msg=f"{name} {weight}"
            )


@pytest.mark.parametrize("has_shift", [True, False])  # of the authors' code, and of its ports to PyTorch
def test_a_step_of_prodlda_is_the_published_one(has_shift):
    model, batch = loaded(*PRODLDA, *NO_DROPOUT, f"model.has_shift={str(has_shift).lower()}")
    learned, w = leaves(model)
    shifts = [w.get(f"{name}.bias", torch.zeros(1)) for name in ("encoder.head_norm", "decoder")]
    counts = dense_counts(batch, model.num_words)
    hidden = F.softplus(counts @ w["encoder.first.weight"] + w["encoder.first.bias"])
    hidden = F.softplus(F.linear(hidden, w["encoder.trunk.2.weight"], w["encoder.trunk.2.bias"]))
    heads = F.linear(hidden, w["encoder.heads.weight"], w["encoder.heads.bias"])
    mu, logvar = batch_norm(heads, shifts[0]).split(model.num_topics, dim=1)
    words = batch_norm(sampled_theta(mu, logvar) @ w["decoder.weight"], shifts[1])
    dirichlet = torch.full(
        (5,), 1 - 1 / 5
    )  # Laplace approximation of a flat one: 1/a (1 - 2/K) + K / (a K^2)
    torch.testing.assert_close(w["prior_logvar"].exp(), dirichlet)
    torch.testing.assert_close(w["prior_mean"], torch.zeros(5))
    expected = {
        "recon": -(counts * words.log_softmax(dim=1)).sum(dim=1),
        "kl": published_kl(mu, logvar, w["prior_mean"], w["prior_logvar"].exp()),
    }
    check_step(model, batch, learned, expected, w)


def test_a_step_of_theta_is_the_published_one():
    model, batch = loaded(*THETA, *NO_DROPOUT)
    learned, w = leaves(model)
    vectors = torch.from_numpy(planted.datamodule().train_embeddings)
    hidden = (batch.embeddings - vectors.mean(dim=0)) / vectors.std(dim=0, correction=0)
    for layer, norm in (("encoder.first", "encoder.trunk.0"), ("encoder.trunk.3", "encoder.trunk.4")):
        hidden = F.linear(hidden, w[f"{layer}.weight"], w[f"{layer}.bias"])
        hidden = batch_norm(hidden, w[f"{norm}.bias"], w[f"{norm}.weight"]).relu()
    heads = F.linear(hidden, w["encoder.heads.weight"], w["encoder.heads.bias"])
    mu, logvar = heads.split(model.num_topics, dim=1)
    beta = (w["alpha"] @ w["rho"].T).softmax(dim=1)
    counts = dense_counts(batch, model.num_words)
    shares = counts / counts.sum(dim=1, keepdim=True)
    expected = {
        "recon": -(shares * (sampled_theta(mu, logvar) @ beta + 1e-10).log()).sum(dim=1),
        "kl": published_kl(mu, logvar, torch.zeros(5), torch.ones(5)),
    }
    check_step(model, batch, learned, expected, w)


def test_proportions_of_many_draws_are_the_mean_over_the_posterior():
    """The posterior's standard deviation is exp(logvar / 2), in training and where theta averages samples."""
    model, _ = loaded(*THETA, "model.theta_samples=20000")
    mu, logvar = torch.tensor([[1.0, 0, 0, 0, -1]]), torch.tensor([[2.0, -1, 0, 1, 2]])
    draws = torch.distributions.Normal(mu, (logvar / 2).exp()).sample((20000,))
    expected = draws.softmax(dim=2).mean(dim=0)
    model.eval()
    torch.testing.assert_close(model.theta((mu, logvar)), expected, rtol=0, atol=0.01)
    model.train()
    drawn = model.theta((mu.expand(20000, 5), logvar.expand(20000, 5)))
    torch.testing.assert_close(drawn.mean(dim=0, keepdim=True), expected, rtol=0, atol=0.01)


def test_free_bits_are_the_least_that_a_document_pays():
    model, batch = loaded(*THETA, *NO_DROPOUT)
    paid = model.losses(batch)["kl"].detach()
    model.free_bits = paid.median().item()
    clamped = model.losses(batch)["kl"]
    torch.testing.assert_close(clamped, paid.maximum(paid.median()))
    free = paid < paid.median()
    assert 0 < free.sum() < len(free)
    (grad,) = torch.autograd.grad(clamped[free].sum(), [model.encoder.heads.bias])
    assert not grad.any()


def test_seeds_that_share_a_cache_have_starts_of_their_own(tmp_path):
    def start(seed):
        datamodule = planted.datamodule(cache_root=tmp_path, embedding_key="planted")
        model = make_model(planted.configuration("model=theta", f"seed={seed}"), datamodule)
        model.initialize(datamodule)
        return model.encoder.heads.weight.detach()

    first, second, again = start(0), start(1), start(0)
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def test_the_seed_reaches_the_epochs(tmp_path, monkeypatch):
    """From the same weights two seeds diverge: they shuffle, drop and sample differently."""
    short = ["model=theta", "trainer.max_epochs=1", "model.init=random"]
    datamodule = planted.datamodule()
    weights = make_model(planted.configuration(*short), datamodule).state()
    trained = []
    for run, seed in enumerate((0, 1, 0)):
        cfg = planted.configuration(*short, f"seed={seed}")
        model = make_model(cfg, datamodule)
        monkeypatch.setattr(model, "initialize", lambda _, model=model: model.load_state(weights))
        train(model, datamodule, tmp_path / str(run), cfg.trainer)
        trained.append(model.state()["alpha"])
    assert not np.array_equal(trained[0], weights["alpha"])
    assert not np.array_equal(trained[0], trained[1])
    np.testing.assert_array_equal(trained[0], trained[2])


def test_clusters_speak_as_their_documents_do_however_long():
    bow = sparse.csr_matrix([[1, 0, 0], [0, 9, 0], [0, 3, 1], [0, 0, 0]])
    found = cluster_words(bow, np.array([0, 0, 1, 1]), 3)
    corpus = np.array([1, 1.75, 0.25]) / 3
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0, 0.75, 0.25], corpus], atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_documents_start_by_the_hellinger_distance_of_their_soft_labels(seed):
    """A rare word counts for more than a shift between frequent words; by plain differences, for less."""
    rare, shift = 0.05, 0.05
    kinds = [
        [0.5 - rare / 2 + sign * shift, 0.5 - rare / 2 - sign * shift, *own]
        for sign in (1, -1)
        for own in ((rare, 0), (0, rare))
    ]
    with np.errstate(divide="ignore"):
        logits = np.log(np.repeat(kinds, 10, axis=0))
    labels = SoftLabels(
        logits=(logits - logits.max(axis=1, keepdims=True)).astype(np.float16),
        words=None,
        peaks=logits.max(axis=1),
        residual=None,
        vectors=None,
        num_words=4,
        temperature=1.0,
        key="made",
        manifest={},
        is_cached=False,
        seconds=0.0,
    )
    datamodule = SimpleNamespace(soft_labels=labels, train_rows=np.arange(40))
    found = start_clusters(datamodule, "soft_labels", 0, 2, seed).reshape(4, 10)
    assert (found == found[:, :1]).all()
    first, second, third, fourth = found[:, 0]
    assert first == third != second == fourth
