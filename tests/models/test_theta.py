"""THETA against the formulas of its class docstring."""

import planted
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from topiclab.pipeline.build import make_model

PUBLISHED = [
    "model.init=random",
    "model.prior_variance=1",
    "model.kl_warmup=0",
    "objective.weight=1",
    "objective.length_power=1",
]
NO_DROPOUT = ["model.encoder.dropout=0", "model.encoder.inner_dropout=0"]


def test_a_step_of_theta_is_the_gradient_of_its_elbo():
    datamodule = planted.datamodule()
    model = make_model(planted.configuration("model=theta", *PUBLISHED, *NO_DROPOUT), datamodule)
    model.load_documents(datamodule)
    model.train()
    with torch.no_grad():
        model.alpha.mul_(50)  # distinct topics, which a random start hardly has
    batch = next(iter(model.batches(model._train_rows, 200)))
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}

    torch.manual_seed(0)
    means = {name: values.mean() for name, values in model.losses(batch).items()}
    assert means.keys() == {"recon", "kl"}
    found = torch.autograd.grad(model.total_loss(means, model.kl_weight(0)), list(parameters.values()))

    torch.manual_seed(0)
    mu, logvar = model.encode(batch)
    posterior = Normal(mu, (logvar / 2).exp())
    theta = (posterior.loc + posterior.scale * torch.randn_like(mu)).softmax(dim=1)
    beta = (model.alpha @ model.rho.T).softmax(dim=1)
    words = Categorical(probs=theta[batch.bow.docs] @ beta)
    likelihood = (batch.bow.counts * words.log_prob(batch.bow.words)).sum() / len(batch.rows)
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1).mean()
    wanted = torch.autograd.grad(kl - likelihood, list(parameters.values()))

    torch.testing.assert_close(means["recon"], -likelihood, rtol=1e-5, atol=0)
    torch.testing.assert_close(means["kl"], kl, rtol=1e-5, atol=0)
    largest = max(gradient.abs().max() for gradient in wanted).item()
    for name, ours, theirs in zip(parameters, found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6 * largest, msg=name)
