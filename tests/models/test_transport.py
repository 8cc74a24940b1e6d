"""Models based on transport plans, against plain iterations and the papers' formulas."""

import math

import numpy as np
import planted
import pytest
import torch

from topiclab.data.batch import tensors_of
from topiclab.models.base.topic_model import EVAL_BATCH
from topiclab.nn.bag_transport import bag_transport
from topiclab.nn.mixture import Mixture
from topiclab.pipeline.build import make_model
from topiclab.teach.soft_labels import soft_labels

PUBLISHED = ["model.init=random", "objective.weight=1", "objective.length_power=1"]


def loaded(*overrides):
    """Make an unfitted model with the planted corpus loaded, and its first batch."""
    datamodule = planted.datamodule()
    model = make_model(planted.configuration(*overrides), datamodule)
    model.load_documents(datamodule)
    batch = next(iter(model.batches(model._train_rows, model.batch_size)))
    return model.train(), batch


def fitted(folder, *overrides):
    cfg = planted.configuration(*overrides)
    datamodule = planted.datamodule()
    model = make_model(cfg, datamodule)
    return model, model.fit(datamodule, folder, cfg.trainer)


def unrolled_plan(left, right, sharpness, column_weights):
    """Compute the plan and squared distances by iterations that autograd follows."""
    distances = torch.cdist(left, right).square()
    rows, columns = torch.full((len(left),), -math.log(len(left))), column_weights.log_softmax(0)
    f, g = torch.zeros(len(left)), torch.zeros(len(right))
    for _ in range(300):
        g = columns - torch.logsumexp(f.unsqueeze(1) - sharpness * distances, 0)
        f = rows - torch.logsumexp(g - sharpness * distances, 1)
    return (f.unsqueeze(1) + g - sharpness * distances).exp(), distances


def test_a_step_of_fastopic_is_the_published_one():
    model, batch = loaded("model=fastopic", *PUBLISHED, "model.sinkhorn.tolerance=1e-7")
    means = {name: values.mean() for name, values in model.losses(batch).items()}
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(sum(means.values()), list(parameters.values()))
    documents = torch.nn.functional.normalize(torch.from_numpy(planted.datamodule().train_embeddings), dim=1)
    topic_plan, topic_cost = unrolled_plan(documents, model.topics, 3.0, model.topic_weights)
    word_plan, word_cost = unrolled_plan(model.topics, model.words, 2.0, model.word_weights)
    counts = torch.from_numpy(planted.datamodule().train_bow.toarray())
    words = len(documents) * topic_plan @ word_plan * len(word_plan)
    expected = {
        "recon": -(counts * words.log()).sum(1).mean(),
        "topic_transport": (topic_plan * topic_cost).sum(),
        "word_transport": (word_plan * word_cost).sum(),
    }
    assert means.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(means[name], value, rtol=1e-4, atol=1e-5)
    wanted = torch.autograd.grad(sum(expected.values()), list(parameters.values()))
    for name, ours, theirs in zip(parameters, found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=2e-3 * theirs.abs().max().item(), msg=name)


@pytest.mark.parametrize("start", ["kmeans", "random"])
def test_plans_of_a_fitted_fastopic_have_their_marginals(start, tmp_path):
    model, result = fitted(tmp_path, "model=fastopic", f"model.init={start}")
    train = result.theta[planted.datamodule().train_rows]
    shares = model.topic_weights.softmax(0).detach().numpy()
    assert np.abs(train.mean(0) - shares).sum() <= 0.0051
    np.testing.assert_allclose(result.beta.sum(1), 1, atol=1e-5)
    word_shares = model.word_weights.softmax(0).detach().numpy()
    assert np.abs(result.beta.mean(0) - word_shares).sum() <= 0.0051


def test_proportions_of_fastopic_are_its_plans_rows_and_need_no_batch_mates(tmp_path):
    model, result = fitted(tmp_path, "model=fastopic")
    rows = planted.datamodule().train_rows
    model.train()
    batch = next(iter(model.batches(model._train_rows, model.batch_size)))
    with torch.no_grad():
        plan = model.theta(model.encode(batch)).numpy()
    np.testing.assert_allclose(result.theta[rows], plan, atol=2e-3)
    bow, vectors = planted.corpus().bow, planted.vectors()
    for part in (slice(0, 1), slice(100, 103)):
        np.testing.assert_allclose(model.transform(bow[part], vectors[part]), result.theta[part], atol=1e-5)


def test_published_proportions_of_fastopic(tmp_path):
    overrides = ["model=fastopic", *PUBLISHED, "trainer.max_epochs=3"]
    model, result = fitted(tmp_path, *overrides, "model.theta_from=column_sums")
    unit = planted.vectors() / np.linalg.norm(planted.vectors(), axis=1, keepdims=True)
    near = np.exp(-((unit[:, None] - model.topics.detach().numpy()) ** 2).sum(2))
    near /= near[planted.datamodule().train_rows].sum(0)
    np.testing.assert_allclose(result.theta, near / near.sum(1, keepdims=True), atol=1e-5)
    model.theta_from, model.plan_batch = "batch_plan", 50
    bow, vectors = planted.corpus().bow, planted.vectors()
    theta = model.transform(bow[:100], vectors[:100])
    shares = model.topic_weights.softmax(0).detach().numpy()
    assert np.abs(theta[:50].mean(0) - shares).sum() <= 0.0051
    assert np.abs(theta[50:].mean(0) - shares).sum() <= 0.0051


def test_fastopic_in_mini_batches_finds_the_topics(tmp_path):
    _, result = fitted(tmp_path, "model=fastopic", "model.batch_size=100")
    assert planted.recovery(result) >= 0.7


def test_validation_of_fastopic_reads_validation_documents_whatever_the_batch():
    model, _ = loaded("model=fastopic", f"model.batch_size={EVAL_BATCH}")
    model.eval()
    (batch,) = model.batches(model._val_rows, EVAL_BATCH)
    assert torch.equal(batch.rows, model._val_rows)


def test_fastopic_without_embeddings_is_refused():
    datamodule = planted.datamodule()
    datamodule.embeddings = None
    with pytest.raises(ValueError, match="choose an embedder"):
        make_model(planted.configuration("model=fastopic"), datamodule)


def test_a_step_of_ecrtm_is_the_published_one():
    overrides = ["model.init=random", "model.kl_warmup=0", "model.encoder.dropout=0", "objective.weight=1"]
    overrides += [
        "model.encoder.inner_dropout=0",
        "model.sinkhorn.tolerance=1e-7",
        "objective.length_power=1",
    ]
    model, batch = loaded("model=ecrtm", *overrides, "model.ecr_weight=100")
    torch.manual_seed(0)
    means = {name: values.mean() for name, values in model.losses(batch).items()}
    parameters = {"topics": model.decoder.topics, "words": model.decoder.words, "bias": model.decoder.bias}
    found = torch.autograd.grad(means["recon"] + means["clustering"], list(parameters.values()))
    distances = torch.cdist(model.decoder.topics, model.decoder.words).square()
    beta = (-distances / 0.2).softmax(0)
    torch.testing.assert_close(model.decoder.weight, beta, rtol=1e-4, atol=1e-6)
    torch.manual_seed(0)
    theta = model.theta(model.encode(batch)).detach()
    logits = torch.nn.functional.batch_norm(theta @ beta, None, None, None, model.decoder.bias, training=True)
    counts = torch.zeros(len(batch.rows), model.num_words)
    counts[batch.bow.docs, batch.bow.words] = batch.bow.counts
    plan, _ = unrolled_plan(model.decoder.topics, model.decoder.words, 20.0, torch.zeros(model.num_words))
    recon = -(counts * logits.log_softmax(1)).sum(1).mean()
    clustering = 100 * (plan * distances).sum()
    torch.testing.assert_close(means["recon"], recon, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(means["clustering"], clustering, rtol=1e-3, atol=1e-4)
    wanted = torch.autograd.grad(recon + clustering, list(parameters.values()))
    for name, ours, theirs in zip(parameters, found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=5e-3 * theirs.abs().max().item(), msg=name)


def test_columns_of_ecrtm_sum_to_one_and_its_topics_are_their_rows(tmp_path):
    model, result = fitted(tmp_path, "model=ecrtm")
    columns = model.decoder.weight.detach().numpy()
    np.testing.assert_allclose(columns.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(result.beta, columns / columns.sum(1, keepdims=True), atol=1e-6)


def test_clustering_gives_the_topics_of_ecrtm_words_alike(tmp_path):
    """Without clustering, a word's nearest topic is whatever the likelihood produced."""
    sizes = []
    for weight in (0, 1000):
        model, _ = fitted(
            tmp_path / str(weight), "model=ecrtm", "model.init=random", f"model.ecr_weight={weight}"
        )
        nearest = model.decoder.weight.argmax(0)
        sizes.append(np.bincount(nearest.numpy(), minlength=5).std())
    assert sizes[1] < sizes[0]


def test_the_warm_start_of_ecrtm_speaks_like_the_clusters():
    model, _ = loaded("model=ecrtm")
    words = np.random.default_rng(0).dirichlet(np.full(model.num_words, 0.1), 5)
    model.start_decoder(words)
    shares = words + 1 / model.num_words
    np.testing.assert_allclose(model.decoder.weight.detach(), shares / shares.sum(0), atol=0.02)


def test_ecrtm_starts_from_the_embedders_words(tmp_path):
    words = np.random.default_rng(0).normal(size=(planted.corpus().num_words, 12)).astype(np.float32)
    datamodule = planted.datamodule(word_vectors=lambda: words)
    cfg = planted.configuration("model=ecrtm", "model.word_init=embedder")
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    assert model.decoder.topics.shape == (5, 12)
    assert planted.recovery(result) >= 0.7
    twin = make_model(cfg, datamodule)
    twin.load_state(model.state())
    np.testing.assert_allclose(
        twin.transform(planted.corpus().bow[:9], planted.vectors()[:9]), result.theta[:9], atol=1e-5
    )


def test_transport_of_bags_equals_plans_document_by_document():
    """Compares the value and the gradients of the plan's objective with unrolled iterations in float64."""
    torch.manual_seed(0)
    weights, cost = torch.randn(6, 4, dtype=torch.float64), 2 * torch.rand(4, 9, dtype=torch.float64)
    bags = torch.nn.functional.normalize(torch.rand(6, 9).double() * (torch.rand(6, 9) < 0.5), p=1, dim=1)
    bags[2] = 0
    weights.requires_grad_()
    cost.requires_grad_()
    found = bag_transport(weights.softmax(1), bags, cost, 5.0, 1e-12, 5000)
    minimised, carried = [], []
    for theta, bag in zip(weights.log_softmax(1), bags, strict=True):
        held = bag > 0
        rows, columns, part = theta, bag[held].log(), cost[:, held]
        f, g = torch.zeros_like(rows), torch.zeros_like(columns)
        for _ in range(500 if held.any() else 0):
            g = columns - torch.logsumexp(f.unsqueeze(1) - 5 * part, 0)
            f = rows - torch.logsumexp(g - 5 * part, 1)
        plan = (f.unsqueeze(1) + g - 5 * part).exp()
        carried.append((plan * part).sum())
        minimised.append((plan * part).sum() + (plan * plan.log() - plan).sum() / 5)
    torch.testing.assert_close(found, torch.stack(carried), rtol=1e-8, atol=1e-10)
    scale = torch.rand(6, dtype=torch.float64)
    ours = torch.autograd.grad((scale * found).sum(), (weights, cost))
    theirs = torch.autograd.grad((scale * torch.stack(minimised)).sum(), (weights, cost))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("bag", ["frequencies", "softmax"])
def test_bags_of_nstm_are_distributions(bag):
    model, batch = loaded("model=nstm", f"model.bag={bag}")
    counts = torch.zeros(len(batch.rows), model.num_words)
    counts[batch.bow.docs, batch.bow.words] = batch.bow.counts
    expected = counts.softmax(1) if bag == "softmax" else counts / counts.sum(1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(model.bags(batch.bow), expected)
    theta = torch.rand(len(batch.rows), 5).softmax(1)
    nll = model.bag_nll(theta, batch.bow, batch.bow.counts)
    expected = -(counts * model.decode(theta).log_softmax(1)).sum(1)
    torch.testing.assert_close(nll, expected, rtol=1e-4, atol=1e-4)


def test_the_transport_of_nstm_stays_in_float32_under_autocast():
    model, batch = loaded("model=nstm")
    posterior = [part.detach() for part in model.encode(batch)]
    model.encode = lambda _: posterior
    plain = model.losses(batch)["transport"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.losses(batch)["transport"], plain)


@pytest.mark.parametrize("name", ["fastopic", "ecrtm", "nstm"])
def test_soft_labels_find_the_planted_topics(name, tmp_path):
    cfg = planted.configuration(f"model={name}", "objective=dsl", "teacher=neighbours")
    datamodule = planted.datamodule()
    datamodule.soft_labels = soft_labels(cfg.teacher, datamodule, cfg.trainer)
    model = make_model(cfg, datamodule)
    result = model.fit(datamodule, tmp_path, cfg.trainer)
    assert planted.recovery(result) >= 0.7


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_mixture_reads_nonzeros_as_it_reads_rows(temperature):
    torch.manual_seed(0)
    batch = next(tensors_of(planted.corpus().bow[:8], None).batches(torch.arange(8), 1))
    theta, beta = torch.randn(8, 5).softmax(1), torch.randn(5, planted.corpus().num_words).softmax(1)
    rows = torch.from_numpy(planted.corpus().bow[:8].toarray()).float()
    decoder = Mixture(beta)
    expected = -(rows * ((theta @ beta).log() / temperature).log_softmax(1)).sum(1)
    for targets in (batch.bow, rows):
        found = decoder.soft_nll(theta, targets, temperature)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_fastopic_from_noise_keeps_its_topics_apart(tmp_path):
    """Long after the published 200 steps no two topics are alike; users report such a collapse."""
    _, result = fitted(tmp_path, "model=fastopic", *PUBLISHED, "trainer.max_epochs=300")
    assert planted.recovery(result) >= 0.9
    assert np.bincount(result.theta.argmax(1), minlength=5).min() > 60


def test_fastopic_learns_labels_that_it_is_shown(tmp_path):
    cfg = planted.configuration("model=fastopic", "mode=supervised", "mode.class_weight=100")
    datamodule = planted.datamodule(shows_labels=True)
    model = make_model(cfg, datamodule)
    model.fit(datamodule, tmp_path, cfg.trainer)
    rows = planted.corpus().rows("test")
    classes = model.predict_classes(planted.corpus().bow[rows], planted.vectors()[rows])
    assert (classes.argmax(1) == planted.corpus().labels[rows]).mean() > 0.8
