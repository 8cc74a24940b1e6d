"""Soft-label objectives: targets against closed forms, gradients, teacher=none and empty documents."""

import numpy as np
import planted
import pytest
import torch
from made_settings import configured
from scipy import sparse

from topiclab.config.compose import ConfigError, compose
from topiclab.data.batch import Batch, SparseCounts
from topiclab.data.soft_labels import SoftLabels
from topiclab.data.targets import distributions, raw_logits, softmax_of_counts, with_bow
from topiclab.nn.likelihood import softmax_nll, tempered_nll
from topiclab.objectives import BowNLL, SoftLabelDivergence, dense
from topiclab.pipeline.build import build_model, make_model
from topiclab.teach.soft_labels import pack

NUM_DOCS, NUM_WORDS = 6, 12


def labels_of(logits, top_k=None):
    arrays = pack(logits.astype(np.float32), None, top_k, np.arange(len(logits)))
    arrays.pop("is_silent")
    arrays = {"words": None, "residual": None, "vectors": None} | arrays
    return SoftLabels(
        **arrays,
        num_words=logits.shape[1],
        temperature=1.0,
        key="k",
        manifest={},
        is_cached=False,
        seconds=0.0,
    )


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(5, 3, (NUM_DOCS, NUM_WORDS))


def softmax(rows):
    return torch.from_numpy(rows).softmax(1).numpy()


def test_dense_targets_are_the_tempered_softmax(logits):
    targets = distributions(labels_of(logits), 3.0)
    np.testing.assert_allclose(targets.values, softmax(logits / 3), atol=2e-3)
    entropy = torch.distributions.Categorical(torch.from_numpy(softmax(logits / 3))).entropy()
    np.testing.assert_allclose(targets.entropy, entropy, atol=5e-3)


@pytest.mark.parametrize("stored", [None, 9])
def test_top_k_keeps_the_k_likeliest_words_and_their_order(logits, stored):
    targets = distributions(labels_of(logits, stored), 2.0, top_k=4)
    values = targets.values.toarray()
    assert ((values > 0).sum(1) == 4).all()
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)
    for row, kept in zip(logits, values, strict=True):
        assert set(np.flatnonzero(kept)) == set(np.argsort(-row)[:4])
        np.testing.assert_array_equal(np.argsort(-kept, kind="stable")[:4], np.argsort(-row)[:4])


def test_all_words_as_top_k_are_the_dense_target(logits):
    whole = distributions(labels_of(logits), 3.0)
    np.testing.assert_array_equal(distributions(labels_of(logits), 3.0, top_k=NUM_WORDS).values, whole.values)
    share = distributions(labels_of(logits), 3.0, top_share=0.25)
    assert (share.values.getnnz(axis=1) == 3).all()


def test_stored_top_k_knows_what_it_left_out(logits):
    labels = labels_of(logits, 5)
    kept = np.sort(softmax(logits), axis=1)[:, -5:].sum(1)
    np.testing.assert_allclose(labels.residual, 1 - kept, atol=1e-3)
    with pytest.raises(ValueError, match=r"top_k=6.*5 likeliest.*teacher\.top_k"):
        distributions(labels, 1.0, top_k=6)


def test_raw_logits_are_weights_and_no_distributions(logits):
    labels = labels_of(logits)
    student = torch.randn(NUM_DOCS, NUM_WORDS)
    log_probs = (student / 3).log_softmax(1).numpy()
    for top_k in (None, 4):
        weights = logits if top_k is None else np.where(logits >= np.sort(logits)[:, [-top_k]], logits, 0)
        made = objective(loss="raw_logit_ce", top_k=top_k)
        nats = made(Linear(student), None, batch_of(raw_logits(labels, top_k)))
        np.testing.assert_allclose(nats, -100 * (weights * log_probs).sum(1), rtol=2e-3)
    impossible = logits.copy()
    impossible[2, 3] = -np.inf
    with pytest.raises(ValueError, match=r"finds some impossible.*first_subtoken"):
        raw_logits(labels_of(impossible))


def test_zero_logit_masking_needs_the_words_it_keeps(logits):
    with pytest.raises(ValueError, match=r"top_share=0.5, but only the 5 likeliest.*teacher\.top_k"):
        distributions(labels_of(logits, 5), 1.0, top_share=0.5, masking="zero_logit")


def test_zero_logit_masking_gives_dropped_words_the_mass_that_was_published(logits):
    low = logits - 20  # every kept logit is below the 0 that dropped words get
    values = distributions(labels_of(low), 3.0, top_k=4, masking="zero_logit").values.astype(float)
    kept = np.argsort(-low, axis=1)[:, :4]
    assert np.take_along_axis(values, kept, 1).sum(1).max() < 0.05


def test_published_bow_target_is_nearly_uniform():
    bow = sparse.csr_matrix(np.eye(1, 2000, dtype=np.int32))
    values = softmax_of_counts(bow, 3.0).values[0].astype(float)
    assert values[0] == pytest.approx(7e-4, rel=0.05)
    assert values[1] == pytest.approx(5e-4, rel=0.05)


@pytest.mark.parametrize("stored", [None, 5])
def test_bow_share_mixes_and_leaves_an_empty_document_its_target(logits, stored):
    counts = np.random.default_rng(1).poisson(1, (NUM_DOCS, NUM_WORDS)).astype(np.int32)
    counts[2] = 0
    bow = sparse.csr_matrix(counts)
    targets = distributions(labels_of(logits, stored), 1.0)
    mixed = with_bow(targets, bow, 0.3)
    plain, values = (
        np.asarray(t.values.todense() if sparse.issparse(t.values) else t.values) for t in (targets, mixed)
    )
    shares = bow.toarray() / np.maximum(bow.toarray().sum(1, keepdims=True), 1)
    expected = 0.7 * plain + 0.3 * shares
    expected[2] = plain[2]
    np.testing.assert_allclose(values, expected, atol=2e-3)
    np.testing.assert_allclose(
        mixed.entropy, -(expected * np.log(np.where(expected > 0, expected, 1))).sum(1), atol=1e-2
    )


class Linear:
    """A decoder with given logits."""

    def __init__(self, logits):
        self.logits = logits

    def decode(self, theta):
        return self.logits

    def bag_nll(self, theta, bow, counts):
        return softmax_nll(self.logits, bow, counts)

    def soft_nll(self, theta, targets, temperature):
        return tempered_nll(self.logits, targets, temperature)


def objective(**options):
    defaults = {"weight": 100.0, "teacher_temperature": 3.0, "student_temperature": 3.0, "top_k": None}
    fixed = {"top_share": None, "masking": "drop", "bow_share": 0.0, "loss": "kl", "floor": 0.0}
    return SoftLabelDivergence(**(defaults | fixed | options))


def batch_of(targets):
    values = targets.values
    held = (
        torch.from_numpy(values).float()
        if isinstance(values, np.ndarray)
        else SparseCounts(values).permuted(torch.arange(NUM_DOCS))
    )
    return Batch(torch.arange(NUM_DOCS), None, None, None, held, torch.from_numpy(targets.entropy))


@pytest.mark.parametrize("top_k", [None, 4])
def test_gradient_is_weight_over_temperature_times_the_difference(logits, top_k):
    targets = distributions(labels_of(logits), 3.0, top_k)
    batch, student = batch_of(targets), torch.randn(NUM_DOCS, NUM_WORDS, requires_grad=True)
    loss = objective()(Linear(student), None, batch)
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    expected = 100 / 3 * ((student / 3).softmax(1) - dense(batch.targets))
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-2)


def test_divergence_is_zero_where_the_student_is_the_teacher(logits):
    targets = distributions(labels_of(logits), 3.0)
    student = torch.from_numpy(logits).float()
    batch = batch_of(targets)
    for options in ({}, {"floor": 1e-9}):
        assert objective(**options)(Linear(student), None, batch).abs().max() < 0.2  # loss is 100 x nats
    shuffled = objective()(Linear(student.roll(1, dims=1)), None, batch)
    assert shuffled.min() > 1
    for floor in (0.0, 1e-9):
        cross_entropy = objective(loss="ce", floor=floor)(Linear(student), None, batch)
        torch.testing.assert_close(cross_entropy, 100 * batch.target_entropy, rtol=1e-2, atol=0.5)


def test_normalised_bow_is_the_weighted_mean_over_tokens():
    counts = SparseCounts(sparse.csr_matrix(np.array([[1, 3, 0], [2, 0, 0]], np.int32))).permuted(
        torch.arange(2)
    )
    student = torch.randn(2, 3)
    nats = BowNLL(100.0, 0.0)(Linear(student), None, Batch(torch.arange(2), counts))
    log_probs = student.log_softmax(1)
    expected = torch.stack([-(log_probs[0, 0] + 3 * log_probs[0, 1]) / 4, -log_probs[1, 0]]) * 100
    torch.testing.assert_close(nats, expected)


def test_soft_objectives_without_teacher_are_refused():
    for name in ("dsl", "mix"):
        with pytest.raises(ConfigError, match="teacher=none; add teacher=neighbours"):
            compose([f"objective={name}"])
    with pytest.raises(ConfigError, match="input=teacher reads a teacher's state"):
        compose(["input=teacher"])
    with pytest.raises(ConfigError, match="give one of the two"):
        compose(["objective=dsl", "teacher=neighbours", "objective.top_k=5", "objective.top_share=0.5"])


def test_options_that_a_loss_would_not_read_are_refused():
    taught = ["objective=dsl", "teacher=neighbours"]
    for setting in ("floor=1e-9", "bow_share=0.5"):
        with pytest.raises(ConfigError, match=r"=0 or objective\.loss=kl"):
            compose([*taught, "objective.loss=raw_logit_ce", f"objective.{setting}"])


def test_a_data_module_without_teacher_says_so(tmp_path):
    cfg = planted.configuration("model=theta", "objective=dsl", "teacher=neighbours")
    datamodule = planted.datamodule()
    with pytest.raises(ValueError, match="needs soft labels; add teacher=neighbours"):
        make_model(cfg, datamodule).fit(datamodule, tmp_path, cfg.trainer)


def test_the_published_recipe_composes():
    teacher = ["objective=dsl", "teacher=neighbours", "teacher.temperature=3", "objective.weight=1000"]
    student = ["objective.student_temperature=3", "objective.floor=1e-9", "objective.masking=zero_logit"]
    model = ["model=prodlda", "model.init=random", "model.theta_samples=10", "model.is_prior_learned=true"]
    cfg = configured(*teacher, *student, *model)
    sizes = {"num_words": 30, "embedding_dim": 8, "num_classes": 0}
    built = build_model(cfg, sizes)
    assert built.objective.teacher_temperature == 3
    assert built.prior_logvar.requires_grad
