"""TVQ-VAE on text: bags of codes, topics over a codebook, and the published pieces against plain ones."""

from dataclasses import replace

import numpy as np
import planted
import pytest
import torch
from scipy import sparse
from torch import nn
from torch.nn import functional as F

from topiclab.config.checks import validate
from topiclab.config.compose import ConfigError, compose
from topiclab.data.batch import tensors_of
from topiclab.data.datamodule import TopicDataModule
from topiclab.models.codes.code_encoder import CodeEncoder
from topiclab.models.codes.codes_file import codes_file
from topiclab.nn.code_bag import CodeBag
from topiclab.nn.codebook_experts import CodebookExperts, standardize_columns
from topiclab.pipeline.build import make_model
from topiclab.pipeline.saved_model import MODEL, load_arrays
from topiclab.runs.run import run_cell

V, N, K, D, E, B = 30, 8, 4, 5, 3, 12
FAST = ("model=tvqvae", "model.codebook.max_epochs=3", "model.codebook.warmup=0.34")


def counts(num_docs=B, seed=0):
    """Draw word counts (num_docs, V), zero for the last document."""
    bow = np.random.default_rng(seed).poisson(0.4, (num_docs, V))
    bow[-1] = 0
    return sparse.csr_matrix(bow.astype(np.int32))


def batch_of(bow, embeddings=None):
    return next(tensors_of(bow, embeddings).batches(torch.arange(bow.shape[0]), 1))


def random_codes(seed=0):
    """Draw distinct codes (V, E), weights (V, E), and their table C (V, N)."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.choice(N, E, replace=False) for _ in range(V)])
    weights = rng.uniform(0.5, 1.5, (V, E)).astype(np.float32)
    table = np.zeros((V, N), np.float32)
    np.put_along_axis(table, codes, weights, axis=1)
    return torch.from_numpy(codes), torch.from_numpy(weights), torch.from_numpy(table)


def experts(has_topic_norm=True, has_shift=True, num_topics=K, hidden_dims=(16, 16)):
    torch.manual_seed(0)
    sizes = {"num_codes": N, "code_dim": D, "hidden_dims": hidden_dims}
    made = CodebookExperts(
        num_topics,
        V,
        **sizes,
        has_topic_norm=has_topic_norm,
        has_shift=has_shift,
        eps=1e-5,
        momentum=0.1,
    )
    made.set_codebook(torch.randn(N, D))
    return made


def thetas(num_topics=K):
    torch.manual_seed(1)
    return torch.randn(B, num_topics).mul(2).softmax(dim=1).requires_grad_()


# Bags of codes.


def test_a_bag_of_codes_is_the_product_of_counts_and_codes():
    codes, weights, table = random_codes()
    bag = CodeBag(V, N, E)
    bag.set_words(codes, weights)
    torch.testing.assert_close(
        bag(batch_of(counts()).bow), torch.from_numpy(counts().toarray()).float() @ table
    )
    shares = torch.rand(3, V).softmax(dim=1)
    torch.testing.assert_close(bag.spread(shares), shares @ F.normalize(table, p=1, dim=1))


@pytest.mark.parametrize("input_norm", ["none", "k", "l1", "log1p"])
def test_the_encoder_reads_normed_bags(input_norm):
    codes, weights, table = random_codes()
    layers = {"hidden_dims": [7], "activation": "tanh", "dropout": 0.0, "inner_dropout": 0.0}
    norms = {"hidden_batch_norm": False, "head_batch_norm": False, "batch_norm_eps": 1e-5}
    encoder = CodeEncoder(
        reads="codes",
        num_topics=K,
        num_words=V,
        embedding_dim=0,
        num_codes=N,
        expansion=E,
        input_norm=input_norm,
        words="type",
        batch_norm_momentum=0.1,
        **layers,
        **norms,
    )
    encoder.bag.set_words(codes, weights)
    said = torch.from_numpy(counts().toarray()).float() @ table
    expected = {
        "none": said,
        "k": said / E,
        "l1": torch.nan_to_num(said / said.sum(dim=1, keepdim=True)),
        "log1p": (said / E).log1p(),
    }[input_norm]
    torch.testing.assert_close(encoder.read_codes(batch_of(counts())), expected)
    mu, _ = encoder(batch_of(counts()))
    torch.testing.assert_close(mu, encoder.heads(torch.tanh(encoder.first(expected))).chunk(2, dim=1)[0])


def test_an_encoder_of_both_standardises_the_embeddings_alone():
    vectors = np.random.default_rng(2).normal(3, 2, (B, 6)).astype(np.float32)
    cfg = planted.configuration(*FAST, "model.encoder.reads=both")
    model = make_model(cfg, planted.datamodule())
    model.encoder.fit_embeddings(torch.from_numpy(np.tile(vectors, (1, 3))[:, :16]))
    mean, std = model.encoder.standardize.mean, model.encoder.standardize.std
    assert torch.equal(mean[:40], torch.zeros(40))
    assert torch.equal(std[:40], torch.ones(40))
    np.testing.assert_allclose(mean[40:46], vectors.mean(axis=0), rtol=1e-5)


# The decoder.


def plain_nll(decoder, theta, bow):
    """Published network written plainly: layers, batch norm over topics, batch norm over documents."""
    over_topics = nn.BatchNorm1d(V, affine=False)
    over_docs = nn.BatchNorm1d(V, affine=False)
    rho = decoder.codebook / decoder.codebook.norm(dim=1, keepdim=True)
    topics = decoder.codes.weight @ rho
    hidden = topics / topics.norm(dim=1, keepdim=True)
    for layer in decoder.hidden:
        hidden = layer(hidden)
    weight = over_topics(hidden @ decoder.last.weight.T + decoder.last.bias)
    log_probs = (over_docs(theta @ weight) + decoder.bias).log_softmax(dim=1)
    return -(torch.from_numpy(bow.toarray()).float() * log_probs).sum(dim=1)


def test_fused_likelihood_and_gradients_are_those_of_the_plain_network():
    decoder, theta, bow = experts(), thetas(), counts()
    batch = batch_of(bow)
    found = []
    for nll in (decoder.nll(theta, batch.bow, batch.bow.counts), plain_nll(decoder, theta, bow)):
        parameters = [theta, decoder.codes.weight, decoder.bias, *decoder.hidden.parameters()]
        parameters += [decoder.last.weight]
        found.append((nll.detach(), torch.autograd.grad((nll * torch.arange(1.0, B + 1)).sum(), parameters)))
    (ours, our_grads), (theirs, their_grads) = found
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for one, other in zip(our_grads, their_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_topics_are_standardised_word_by_word_in_training_and_evaluation():
    decoder = experts()
    decoder.last.weight.data *= 100  # beside which eps is nothing
    weight = decoder.train().weight
    torch.testing.assert_close(weight.mean(dim=0), torch.zeros(V), atol=1e-5, rtol=0)
    torch.testing.assert_close(weight.square().mean(dim=0), torch.ones(V), atol=2e-2, rtol=0)
    assert torch.equal(decoder.eval().weight, weight)
    assert weight.abs().max() <= (K - 1) ** 0.5


def test_the_norm_over_topics_leaves_the_likelihood_as_it_is():
    """Proportions sum to 1 and the norm over documents rescales every word, so only word rankings differ."""
    decoder, theta, bow = experts(), thetas().detach(), batch_of(counts()).bow
    decoder.last.weight.data *= 100  # beside which eps is nothing
    found, orders = [], []
    for decoder.has_topic_norm in (True, False):
        nll = decoder.nll(theta, bow, bow.counts)
        parameters = [decoder.codes.weight, decoder.bias, *decoder.hidden.parameters(), decoder.last.weight]
        found.append((nll.detach(), *torch.autograd.grad(nll.sum(), parameters)))
        orders.append(decoder.weight.argsort(dim=1))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 1e-3 * other.norm()
    assert not torch.equal(*orders)


@pytest.mark.parametrize("has_topic_norm", [True, False])
def test_a_start_gives_the_asked_weights(has_topic_norm):
    decoder = experts(has_topic_norm)
    codes, words = torch.randn(K, N), torch.randn(K, V)
    decoder.start(codes, words)
    assert torch.equal(decoder.codes.weight, codes)
    expected = standardize_columns(words, 1e-5) if has_topic_norm else words
    torch.testing.assert_close(decoder.weight, expected, rtol=1e-3, atol=2e-3)


def test_a_start_of_more_topics_than_hidden_units_is_the_nearest():
    decoder = experts(has_topic_norm=False, num_topics=20, hidden_dims=(16, 6))
    words = torch.randn(20, V)
    decoder.start(torch.randn(20, N), words)
    hidden = torch.cat([decoder.hidden(decoder.topics()), torch.ones(20, 1)], dim=1).detach()
    best = hidden @ torch.linalg.lstsq(hidden, words).solution
    torch.testing.assert_close(decoder.weight, best, rtol=1e-2, atol=1e-2)


def test_shifts_learn_unless_told_not_to():
    assert all(part.bias.requires_grad for part in (experts(), experts().codes))
    still = experts(has_shift=False)
    assert not any(part.bias.requires_grad for part in (still, still.codes))
    cfg = planted.configuration(*FAST, "model.has_shift=false", "model.encoder.head_batch_norm=true")
    model = make_model(cfg, planted.datamodule())
    model.initialize(planted.datamodule())  # which trains the encoder on the clusters
    assert not model.encoder.head_norm.bias.any()


# The model.


@pytest.mark.parametrize("expansion", [1, 3, 5])
@pytest.mark.parametrize("init", ["kmeans", "random"])
def test_planted_topics_are_recovered_at_every_expansion(expansion, init, tmp_path):
    steps = ["trainer.max_epochs=5"] if init == "kmeans" else ["trainer.max_epochs=40", "model.lr=1e-2"]
    cfg = planted.configuration(*FAST, f"model.expansion={expansion}", f"model.init={init}", *steps)
    datamodule = planted.datamodule()
    result = make_model(cfg, datamodule).fit(datamodule, tmp_path, cfg.trainer)
    assert planted.recovery(result) >= 0.9


def fitted(folder, *overrides, **options):
    cfg = planted.configuration(*FAST, *overrides)
    datamodule = planted.datamodule(**options)
    model = make_model(cfg, datamodule)
    return model, model.fit(datamodule, folder, cfg.trainer)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Fit a model once, with its likelihood of codes; return it with its result."""
    return fitted(tmp_path_factory.mktemp("whole"), "model.code_weight=2", "trainer.max_epochs=3")


def test_stage_two_leaves_the_codes_alone(whole):
    model, result = whole
    found = model.text_codes
    assert np.array_equal(model.encoder.bag.codes, found.codes)
    expected = F.normalize(torch.from_numpy(np.array(found.codebook.vectors)), dim=1)
    torch.testing.assert_close(model.decoder.codebook, expected)
    assert {"usage", "perplexity", "seconds"} <= result.info["codebook"].keys()


def test_unseen_documents_need_no_word_vectors(whole):
    model, result = whole
    twin = make_model(planted.configuration(*FAST), planted.datamodule(word_vectors=None))
    twin.load_state(model.state())
    theta = twin.transform(planted.corpus().bow, planted.vectors())
    np.testing.assert_allclose(theta, result.theta, atol=1e-5)


def test_the_likelihood_of_codes_is_divided_by_the_codes_of_a_word(whole, monkeypatch):
    model = whole[0].eval()
    bow = planted.corpus().bow[:B]
    batch = batch_of(bow, planted.vectors()[:B])
    losses = model.losses(batch)
    theta = model.theta(model.encode(batch))
    log_probs = model.decoder.codes(theta).log_softmax(dim=1)
    said = model.encoder.bag(batch.bow)
    torch.testing.assert_close(losses["codes"], -2 * (said * log_probs).sum(dim=1) / 3, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(said.sum(dim=1), 3 * batch.bow.lengths)
    monkeypatch.setattr(model, "code_weight", 0.0)
    monkeypatch.setattr(model, "kl_scale", 0.5)
    halved = model.losses(batch)
    assert "codes" not in halved
    torch.testing.assert_close(halved["kl"], losses["kl"] / 2)


def test_documents_without_words_keep_their_place(tmp_path):
    cfg = planted.configuration(*FAST, "model.encoder.reads=codes", "trainer.max_epochs=3")
    rows = planted.corpus().rows("train")[:7]
    counts = planted.corpus().bow.toarray()
    counts[rows] = 0
    emptied = replace(planted.corpus(), bow=sparse.csr_matrix(counts))
    datamodule = TopicDataModule(emptied, planted.vectors(), word_vectors=planted.word_vectors)
    result = make_model(cfg, datamodule).fit(datamodule, tmp_path, cfg.trainer)
    assert len(result.theta) == len(counts)
    assert np.ptp(result.theta[rows], axis=0).max() == pytest.approx(0, abs=1e-6)  # equal: no code is read
    assert np.array_equal(result.word_nll[rows], np.zeros(7))


def test_word_lists_and_shares_of_codes_by_hand():
    codes = np.array([[0, 1], [1, 0], [1, 2]])
    text = codes_file(np.array([[0.1, 3.0, 2.0]]), codes, np.array([5, 2, 3]), ["ant", "bee", "cat"])
    lines = text.splitlines()
    assert lines[1].split(maxsplit=1) == ["0", "1 (cat bee ant)  2 (cat)  0 (ant bee)"]
    assert [line.split() for line in lines[4:]] == [
        ["1", "50.00%", "cat", "bee", "ant"],
        ["0", "35.00%", "ant", "bee"],
        ["2", "15.00%", "cat"],
    ]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["num_topics=1"], "ask for at least 2"),
        (["model.num_codes=4", "model.expansion=5"], "lower model.expansion"),
        (["model.encoder.reads=bow"], "give codes or embeddings or both"),
        (["embedder=precomputed", "embedder.path=vectors.npy"], "embedder=precomputed lacks"),
        (["input=teacher", "teacher=llama1b"], "input=teacher lacks"),
    ],
)
def test_what_cannot_be_fitted_is_refused(overrides, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("vectors.npy", np.zeros((3, 2)))
    with pytest.raises(ConfigError, match=told):
        compose(["model=tvqvae", *overrides])


def test_codes_are_refused_where_there_are_none():
    cfg = compose(["model=prodlda"])
    cfg["model"]["encoder"]["reads"] = "codes"
    assert any("give embeddings or bow or both" in fault for fault in validate(cfg))


def test_an_input_without_word_vectors_is_told(tmp_path):
    with pytest.raises(ValueError, match="quantises word vectors"):
        fitted(tmp_path, word_vectors=None)


def test_more_codes_than_words_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"num_codes=400.*distinct"):
        fitted(tmp_path, "model.num_codes=400")


def test_a_grid_reuses_codes_and_run_folders_show_them(tmp_path, caplog):
    """A control with the codes of other words starts from these codes, not from its model's cached start."""
    caplog.set_level("INFO")
    small = [
        "data.planted.num_docs=100",
        "model.codebook.code_dim=8",
        "model.codebook.hidden_dims=[16]",
        "model.num_codes=20",
        "trainer.max_epochs=2",
        f"paths.cache={tmp_path}/cache",
    ]
    cells = {"five": [], "six": ["num_topics=6"], "control": ["model.codebook.assignment=random"]}
    for name, overrides in cells.items():
        done = run_cell(
            compose([*FAST, "data=synthetic", "num_topics=5", *small, *overrides]), tmp_path / name
        )
        assert done["manifest"]["fit"]["codebook"]["usage"] > 0.5
    assert caplog.text.count("seed 0: computed in") == 1
    assert caplog.text.count("seed 0: from the cache") == 2
    lines = (tmp_path / "six" / "codes.txt").read_text().splitlines()
    assert len(lines) == 1 + 6 + 2 + 20
    five, six, control = (load_arrays(tmp_path / name / MODEL)["encoder.bag.codes"] for name in cells)
    assert np.array_equal(five, six)
    assert not np.array_equal(five, control)
    assert np.array_equal(np.unique(five, axis=0), np.unique(control, axis=0))
