"""TVQ-VAE on images: planted grids of codes under the encoder, the topic vectors and the prior."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_settings import configured
from sklearn.metrics import normalized_mutual_info_score

from topiclab.data.datamodule import TopicDataModule
from topiclab.data.images.image_set import ImageSet, code_corpus
from topiclab.metrics.images import another_row
from topiclab.models.codes.grid_encoder import cells_of
from topiclab.models.tvqvae_image import leading_components
from topiclab.pipeline.fit_images import make_image_model

NUM_CODES, CODE_DIM, SIDE, NUM_TOPICS, NUM_IMAGES = 12, 6, 4, 3, 240
SMALL = [
    "model=tvqvae_image",
    "data=digits",
    f"num_topics={NUM_TOPICS}",
    f"model.num_codes={NUM_CODES}",
    f"model.codebook.code_dim={CODE_DIM}",
    "model.prior.width=8",
    "model.prior.num_layers=2",
    "model.regions=quadrant",
    "model.prior.dropout=0",
    "model.encoder.hidden_dims=[32,32]",
    "trainer.device=cpu",
    "trainer.max_epochs=6",
]


def planted_grids(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw grids (D, 4, 4) of three kinds, and the kind of each (D,).

    Each kind has its own four codes in the upper half; the lower half is noise for all.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.integers(NUM_TOPICS, size=NUM_IMAGES)
    grids = rng.integers(NUM_CODES, size=(NUM_IMAGES, SIDE, SIDE))
    upper = rng.integers(4, size=(NUM_IMAGES, SIDE // 2, SIDE)) + 4 * kinds[:, None, None]
    grids[:, : SIDE // 2] = upper
    return grids, kinds


def planted(regions: str = "quadrant") -> TopicDataModule:
    grids, kinds = planted_grids()
    split = np.zeros(NUM_IMAGES, np.int8)
    split[::5] = 2
    images = ImageSet(
        name="planted",
        ids=tuple(map(str, range(NUM_IMAGES))),
        images=np.zeros((NUM_IMAGES, 1, 8, 8), np.uint8),
        split=split,
        labels=kinds,
        label_names=("a", "b", "c"),
    )
    corpus = code_corpus(images, grids, NUM_CODES, regions)  # type: ignore[arg-type]
    codes = np.random.default_rng(1).normal(size=(NUM_CODES, CODE_DIM)).astype(np.float32)
    repeats = corpus.num_words // NUM_CODES
    vectors = grids.reshape(NUM_IMAGES, -1).astype(np.float32)
    return TopicDataModule(corpus, vectors, word_vectors=lambda: np.tile(codes, (repeats, 1)))


def fitted(folder, *overrides, regions="quadrant"):
    cfg = configured(*SMALL, f"model.regions={regions}", *overrides)
    datamodule = planted(regions)
    model = make_image_model(cfg, datamodule, (SIDE, SIDE))
    return model, model.fit(datamodule, folder, cfg.trainer), datamodule


def unfitted(*overrides, regions="quadrant"):
    model = make_image_model(
        configured(*SMALL, f"model.regions={regions}", *overrides), planted(regions), (4, 4)
    )
    model.rho.normal_()
    return model.eval()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model.inference=bag"],
        ["model.regions=codes", "model.topic_norm=false"],
        ["model.regions=position", "model.is_theta_taught=false"],
        ["model.prior.kind=transformer", "model.prior.num_heads=2"],
        ["model.prior.kind=none"],
    ],
    ids=" ".join,
)
def test_planted_kinds_are_found_and_tell_the_prior(overrides, tmp_path):
    regions = next((each.partition("=")[2] for each in overrides if "regions" in each), "quadrant")
    model, result, datamodule = fitted(tmp_path, *overrides, "trainer.max_epochs=15", regions=regions)
    assert normalized_mutual_info_score(datamodule.corpus.labels, result.theta.argmax(axis=1)) > 0.8
    rows = datamodule.corpus.rows("test")
    grids, _ = planted_grids()
    for seed in range(3):
        other = another_row(len(rows), seed)
        right = model.image_nll(grids[rows], result.theta[rows])
        wrong = model.image_nll(grids[rows], result.theta[rows][other])
        gap = wrong - right
        assert gap.mean() > 3 * gap.std() / np.sqrt(len(gap))


def test_the_losses_fall_and_are_named(whole):
    model, _, _ = whole
    first, last = model.history[0], model.history[-1]
    assert {name for name in last if name.startswith("train/")} == {
        "train/recon",
        "train/kl",
        "train/prior",
        "train/loss",
    }
    assert last["train/loss"] < first["train/loss"]
    assert last["train/prior"] < first["train/prior"]


def test_the_grid_encoder_equals_a_convolution_over_the_one_hot_grid():
    model = unfitted()
    grids = torch.from_numpy(planted_grids()[0][:9])
    first = model.encoder.first
    weight = first.weight.detach().reshape(SIDE, SIDE, NUM_CODES, -1).permute(3, 2, 0, 1)
    one_hot = torch.nn.functional.one_hot(grids, NUM_CODES).permute(0, 3, 1, 2).float()
    dense = torch.nn.functional.conv2d(one_hot, weight, first.bias)[:, :, 0, 0]
    torch.testing.assert_close(first(cells_of(grids.flatten(1), NUM_CODES)), dense)


@pytest.mark.parametrize("overrides", [[], ["model.encoder.reads=both"]], ids=" ".join)
def test_a_bag_has_no_order(overrides):
    datamodule = planted("codes")
    grids = datamodule.embeddings
    assert grids is not None
    shuffled = np.random.default_rng(0).permuted(grids, axis=1)
    model = unfitted("model.inference=bag", *overrides, regions="codes")
    thetas = [model.transform(datamodule.corpus.bow, each) for each in (grids, shuffled)]
    np.testing.assert_array_equal(*thetas)
    assert thetas[0].std(axis=0).max() > 1e-3


@pytest.mark.parametrize("regions", ["codes", "quadrant", "position"])
def test_a_cell_is_told_the_topic_vector_of_its_region(regions):
    """With one code of weight 1 in the last region, its code vector appears in that region's cells only."""
    model = unfitted("model.topic_norm=false", regions=regions)
    with torch.no_grad():
        model.decoder.weight.zero_()
        model.decoder.weight[1, -1] = 1
    theta = torch.tensor([[0.25, 0.75, 0.0]])
    told = model.condition(theta)
    expected = 0.75 * model.rho[-1]
    if regions == "codes":
        torch.testing.assert_close(told, expected[None])
        return
    is_last = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    is_last[2:, 2:] = regions == "quadrant"
    is_last[-1, -1] = True
    torch.testing.assert_close(told[0][:, is_last], expected[:, None].expand(-1, int(is_last.sum())))
    assert not told[0][:, ~is_last].any()


def test_cell_logits_are_the_decoders_of_the_cells_region():
    model = unfitted()
    theta = torch.tensor([[0.2, 0.3, 0.5]])
    logits, words = model.cell_logits(theta), model.decode(theta).reshape(4, NUM_CODES)
    torch.testing.assert_close(logits[0, :, 3, 0], words[2])
    torch.testing.assert_close(logits[0, :, 1, 3], words[1])


@pytest.mark.parametrize("is_taught", [True, False])
def test_the_prior_teaches_the_encoder_only_when_asked(is_taught):
    model = unfitted("model.condition_dropout=0", f"model.is_theta_taught={str(is_taught).lower()}").train()
    datamodule = planted()
    batch = next(datamodule.documents.batches(torch.arange(32), 1))
    loss = model.prior_loss(model.theta(model.encode(batch)), batch).sum()
    gradients = torch.autograd.grad(
        loss, [model.encoder.first.weight, model.decoder.weight], allow_unused=True
    )
    assert (gradients[0] is not None) == is_taught
    assert gradients[1] is not None


def test_images_without_topics_are_those_of_no_condition():
    """Dropping all topics in training and giving none afterwards cost the same nats."""
    model = unfitted("model.condition_dropout=0.999999")
    datamodule = planted()
    batch = next(datamodule.documents.batches(torch.arange(32), 1))
    theta = torch.full((32, NUM_TOPICS), 1 / NUM_TOPICS)
    dropped = model.train().prior_loss(theta, batch).detach().numpy()
    np.testing.assert_allclose(dropped, model.image_nll(planted_grids()[0][:32], None), rtol=1e-4)


def test_state_transform_and_drawing_survive_saving(whole, tmp_path):
    model, result, datamodule = whole
    twin = make_image_model(configured(*SMALL, "seed=9"), datamodule, (SIDE, SIDE))
    twin.load_state({name: np.array(value) for name, value in model.state().items()})
    vectors = datamodule.embeddings
    np.testing.assert_allclose(twin.transform(datamodule.corpus.bow, vectors), result.theta, atol=1e-6)
    theta = np.eye(NUM_TOPICS, dtype=np.float32)
    drawn = model.draw(theta, NUM_TOPICS, seed=3)
    np.testing.assert_array_equal(drawn, twin.draw(theta, NUM_TOPICS, seed=3))
    assert drawn.shape == (NUM_TOPICS, SIDE, SIDE)
    assert 0 <= drawn.min() <= drawn.max() < NUM_CODES
    assert not np.array_equal(drawn, model.draw(theta, NUM_TOPICS, seed=4))


@pytest.mark.parametrize("kind", ["pixelcnn", "none"])
def test_what_is_drawn_from_a_topic_has_that_topic(kind, tmp_path):
    model, _, _ = fitted(tmp_path, f"model.prior.kind={kind}", "trainer.max_epochs=15")
    theta = np.repeat(np.eye(NUM_TOPICS, dtype=np.float32), 40, axis=0)
    grids = model.draw(theta, len(theta), seed=0)
    corpus = code_corpus(
        ImageSet("drawn", tuple(map(str, range(120))), np.zeros((120, 1, 1, 1)), np.zeros(120, np.int8)),
        grids,
        NUM_CODES,
        "quadrant",
    )
    found = model.transform(corpus.bow, grids.reshape(120, -1).astype(np.float32)).argmax(axis=1)
    assert (found == np.repeat(np.arange(NUM_TOPICS), 40)).mean() > 0.7  # chance is a third


def test_more_than_one_code_a_cell_is_refused():
    cfg = configured(*SMALL)
    cfg = replace(cfg, model={**cfg.model, "expansion": 3})
    with pytest.raises(ValueError, match=r"one code per cell; use model\.expansion=1"):
        make_image_model(cfg, planted(), (SIDE, SIDE))


def test_another_row_is_never_ones_own():
    for size in (2, 3, 17):
        other = another_row(size, seed=1)
        assert sorted(other) == list(range(size))
        assert (other != np.arange(size)).all()


def test_leading_components_keep_the_distances():
    vectors = np.random.default_rng(0).normal(size=(20, 2)) @ np.random.default_rng(1).normal(size=(2, 7))
    few = leading_components(vectors, 2)
    assert few.shape == (20, 2)
    np.testing.assert_allclose(
        np.linalg.norm(few[0] - few[1:], axis=1), np.linalg.norm(vectors[0] - vectors[1:], axis=1)
    )


def test_the_start_does_not_depend_on_the_numbers_of_the_codes():
    """Renumbering codes together with their vectors leaves the clusters unchanged."""
    datamodule = planted()
    order = np.random.default_rng(2).permutation(NUM_CODES)
    rename = np.argsort(order)
    grids = rename[planted_grids()[0]].reshape(NUM_IMAGES, -1)
    renamed = TopicDataModule(datamodule.corpus, grids.astype(np.float32))
    model = unfitted("model.init_neighbours=0")
    before = model.start_clusters(datamodule)
    model.rho.copy_(model.rho[torch.from_numpy(order)])
    assert normalized_mutual_info_score(before, model.start_clusters(renamed)) == pytest.approx(1)


def test_evidence_is_paired():
    from topiclab.metrics.images import ImageEvidence, evaluate_images

    rng = np.random.default_rng(0)
    hard = rng.normal(50, 20, size=80)  # how hard an image is: the same under all topics
    evidence = ImageEvidence(
        num_cells=16,
        nats=hard,
        shuffled=hard + 1.6 + rng.normal(0, 0.16, size=(5, 80)),
        unconditional=hard + 0.8,
        squared_error=np.full(80, 0.02),
        usage=0.9,
        perplexity=40.0,
        drawn_for=np.repeat([0, 1], 10),
        drawn_topic=np.repeat([0, 1], [12, 8]),
        drawn_label=np.repeat([3, 5, 7], [9, 1, 10]),
    )
    metrics = evaluate_images(evidence).metrics
    assert metrics["test/prior_gap"] == pytest.approx(0.1, abs=0.003)
    assert metrics["test/prior_gap_se"] < 0.001
    assert metrics["test/prior_ce_unconditional"] - metrics["test/prior_ce"] == pytest.approx(0.05)
    assert metrics["test/prior_ce_shuffled"] - metrics["test/prior_ce"] == pytest.approx(
        metrics["test/prior_gap"]
    )
    assert metrics["sample_fidelity"] == pytest.approx(0.9)
    assert metrics["sample_purity"] == pytest.approx(0.95)
    assert 0.7 < metrics["sample_nmi"] < 0.9
    never = dataclasses.replace(evidence, unconditional=None, drawn_label=None, nats=hard[:0])
    reasons = evaluate_images(never).reasons
    assert {"test/prior_ce", "test/prior_ce_unconditional", "test/prior_gap", "sample_purity"} <= set(reasons)
