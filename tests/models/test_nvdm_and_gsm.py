"""NVDM and GSM: a step and its result against the formulas of the papers."""

import numpy as np
import planted
import torch

from topiclab.pipeline.build import make_model

STEP = ["objective.weight=1", "objective.length_power=1", "model.init=random", "model.theta_dropout=0"]


def a_step(name):
    """Return a model, its losses of a batch, the batch's counts and the draws z of its posterior."""
    datamodule = planted.datamodule()
    model = make_model(planted.configuration(f"model={name}", *STEP), datamodule)
    model.initialize(datamodule)
    model.load_documents(datamodule)
    with torch.no_grad():
        for parameter in filter(lambda each: each.requires_grad, model.parameters()):
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.train().encoder.eval()  # no dropout
    batch = next(iter(model.batches(model._train_rows, 200)))
    mu, logvar = model.encode(batch)
    torch.manual_seed(3)
    z = mu + (0.5 * logvar).exp() * torch.randn(mu.shape)
    torch.manual_seed(3)
    losses = model.losses(batch)
    kl = 0.5 * (logvar.exp() + mu.square() - 1 - logvar).sum(dim=1)
    torch.testing.assert_close(losses["kl"], kl, rtol=1e-4, atol=1e-4)
    counts = torch.from_numpy(planted.corpus().bow[batch.rows.numpy()].toarray()).float()
    return model, losses, counts, z


def test_a_step_of_nvdm_is_the_published_one():
    model, losses, counts, z = a_step("nvdm")
    expected = -(counts * (z @ model.weight + model.bias).log_softmax(1)).sum(1)
    torch.testing.assert_close(losses["recon"], expected, rtol=1e-4, atol=1e-3)


def test_a_step_of_gsm_is_the_published_one():
    model, losses, counts, z = a_step("gsm")
    theta = (z @ model.projection.weight.T + model.projection.bias).softmax(1)
    beta = (model.alpha @ model.rho.T).softmax(1)
    torch.testing.assert_close(losses["recon"], -(counts * (theta @ beta).log()).sum(1), rtol=1e-4, atol=1e-3)
    unit = model.alpha / model.alpha.norm(dim=1, keepdim=True)
    angles = np.arccos(np.abs((unit @ unit.T).detach().fill_diagonal_(1.0).numpy()))
    wanted = 0.1 * (angles.var() - angles.mean())
    np.testing.assert_allclose(losses["diversity"].detach(), wanted, atol=1e-3)


def test_the_result_of_nvdm_is_as_its_docstring_says(tmp_path):
    cfg = planted.configuration("model=nvdm")
    model = make_model(cfg, planted.datamodule())
    result = model.fit(planted.datamodule(), tmp_path, cfg.trainer)
    with torch.no_grad():
        mu = model.encode(next(iter(model.batches(torch.arange(600), 600))))[0]
        log_probs = (mu @ model.weight + model.bias).log_softmax(1)
    nats = -(planted.corpus().bow.toarray() * log_probs.numpy()).sum(axis=1)
    np.testing.assert_allclose(result.theta, mu.softmax(1), atol=1e-5)
    np.testing.assert_allclose(result.word_nll, nats, rtol=1e-4)
    np.testing.assert_allclose(result.beta, model.weight.detach().softmax(1), atol=1e-6)
