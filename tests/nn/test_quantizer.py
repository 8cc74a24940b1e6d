"""VectorQuantizer: nearest codes, gradients, running means by hand, restarts, two processes in step."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn import functional as F

from topiclab.nn.kmeans import kmeans
from topiclab.nn.quantizer import VectorQuantizer

NUM_CODES, DIM = 12, 5


def quantizer(**options) -> VectorQuantizer:
    torch.manual_seed(0)
    return VectorQuantizer(NUM_CODES, DIM, **{"init": "uniform", "restart_below": 0.0, **options})


def vectors(num: int = 40, seed: int = 1) -> torch.Tensor:
    return torch.randn(num, DIM, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("expansion", [1, 3, NUM_CODES])
@pytest.mark.parametrize("is_cosine", [False, True])
def test_codes_are_the_nearest_in_order(expansion: int, is_cosine: bool) -> None:
    layer, z = quantizer(expansion=expansion, is_cosine=is_cosine).eval(), vectors()
    codes = layer(z).codes
    sides = (F.normalize(z, dim=1), F.normalize(layer.codebook, dim=1)) if is_cosine else (z, layer.codebook)
    distances = torch.cdist(sides[0].double(), sides[1].double())
    assert codes.dtype == torch.int64
    assert torch.equal(codes, distances.argsort(dim=1)[:, :expansion])
    assigned, weights = layer.assign(z)
    assert torch.equal(assigned, codes)
    assert torch.equal(weights, torch.ones(40, expansion))


def test_mean_and_sum_agree_for_one_code_and_differ_by_the_number_of_codes() -> None:
    z = vectors()
    assert torch.equal(quantizer()(z).vectors, quantizer(reduce="sum")(z).vectors)
    mean, total = (quantizer(reduce=reduce, expansion=4).eval()(z) for reduce in ("mean", "sum"))
    assert torch.allclose(4 * mean.vectors, total.vectors, atol=1e-5)


@pytest.mark.parametrize("code_weights", ["inverse_distance", "softmax"])
def test_weights_add_up_to_the_expansion_and_fall_with_the_distance(code_weights: str) -> None:
    layer, z = quantizer(expansion=4, code_weights=code_weights).eval(), vectors()
    codes, weights = layer.assign(z)
    assert torch.allclose(weights.sum(dim=1), torch.full((40,), 4.0))
    assert (weights.diff(dim=1) <= 0).all()
    assert (weights[:, 0] > weights[:, -1]).all()
    expected = (weights.unsqueeze(2) * layer.codebook[codes]).sum(dim=1) / 4
    assert torch.allclose(layer(z).vectors, expected, atol=1e-6)
    on_a_code = layer.assign(layer.codebook.clone())[1]
    assert on_a_code.isfinite().all()


@pytest.mark.parametrize("update", ["ema", "gradient"])
@pytest.mark.parametrize("expansion", [1, 3])
def test_the_gradient_passes_straight_through(update: str, expansion: int) -> None:
    layer, z = quantizer(update=update, expansion=expansion), vectors().requires_grad_()
    slope = vectors(seed=2)
    out = layer(z)
    (out.vectors * slope).sum().backward()
    assert torch.equal(z.grad, slope)
    pulled = layer.vectors_of(out.codes) if update == "gradient" else out.vectors
    if update == "gradient":
        assert layer.codebook.grad is None
        layer.zero_grad()
        layer(z).loss.backward()
        assert layer.codebook.grad is not None
        assert layer.codebook.grad.abs().sum() > 0
        expected = 1.25 * (z - pulled).square().mean()
        assert torch.isclose(out.loss, expected)
    else:
        assert torch.isclose(out.loss, 0.25 * (z - pulled).square().mean())


def test_permuting_the_codebook_permutes_the_codes() -> None:
    layer, z = quantizer(expansion=3).eval(), vectors()
    codes = layer(z).codes
    order = torch.randperm(NUM_CODES)
    layer.codebook.copy_(layer.codebook[order].clone())
    assert torch.equal(order[layer(z).codes], codes)


def test_running_means_match_two_steps_by_hand() -> None:
    layer = VectorQuantizer(2, 1, decay=0.5, init="uniform", restart_below=0.0)
    layer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    layer.sums.copy_(layer.codebook)
    layer(torch.tensor([[1.0], [2.0], [3.0]]))
    # counts: 0.5 + 0.5 * 3 = 2 and 0.5; sums: 0 + 0.5 * 6 = 3 and 5
    assert torch.allclose(layer.codebook, torch.tensor([[1.5], [10.0]]), atol=1e-3)
    layer(torch.tensor([[2.0], [9.0]]), weights=torch.tensor([0.5, 1.5]))
    # counts: 1 + 0.25 = 1.25 and 0.25 + 0.75 = 1; sums: 1.5 + 0.5 = 2 and 2.5 + 6.75 = 9.25
    assert torch.allclose(layer.codebook, torch.tensor([[1.6], [9.25]]), atol=1e-3)


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_running_means_of_several_codes_stay_where_the_vectors_are(reduce: str) -> None:
    layer, z = quantizer(expansion=3, reduce=reduce, decay=0.8, init="kmeans"), vectors(200)
    for _ in range(60):
        layer(z)
    layer.reset_statistics()
    assert F.mse_loss(layer(z).vectors, z) < 0.7 * z.square().mean()
    assert layer.statistics()["usage"] == 1
    assert layer.codebook.norm(dim=1).max() < z.norm(dim=1).max()


def test_dead_codes_restart_in_training_and_never_in_evaluation() -> None:
    layer, z = quantizer(restart_below=0.5, init_scale=100.0), vectors(200)
    before = layer.codebook.clone()
    layer.eval()
    for _ in range(50):
        layer(z)
    assert torch.equal(layer.codebook, before)
    layer.train()
    for _ in range(50):
        layer(z)
    layer.eval()
    layer.reset_statistics()
    layer(z)
    assert layer.statistics()["usage"] > 0.9


def test_few_vectors_for_many_codes_do_not_restart_all_of_them() -> None:
    torch.manual_seed(0)
    layer = VectorQuantizer(200, DIM, decay=0.9)
    z = vectors(4000)
    for batch in z.split(50):
        layer(batch)
    before = layer.codebook.clone()
    layer(z[:50])
    moved = (layer.codebook - before).norm(dim=1) > 0.5
    assert moved.double().mean() < 0.1


@pytest.mark.parametrize("expansion", [1, 3])
def test_statistics_do_not_grow_with_the_expansion(expansion: int) -> None:
    layer = quantizer(expansion=expansion).eval()
    assert layer.statistics() == {"usage": 0.0, "perplexity": 0.0}
    layer(layer.codebook.clone())
    facts = layer.statistics()
    assert facts["usage"] == 1
    assert 1 <= facts["perplexity"] <= NUM_CODES + 1e-4
    if expansion == 1:
        assert facts["perplexity"] == pytest.approx(NUM_CODES)
    layer.reset_statistics()
    layer(layer.codebook[:1].clone())
    assert layer.statistics()["usage"] == pytest.approx(expansion / NUM_CODES)


def test_codes_are_the_same_under_autocast() -> None:
    layer, z = quantizer(expansion=3).eval(), 30 + vectors(500)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = layer(z)
    assert torch.equal(mixed.codes, layer(z).codes)
    assert mixed.vectors.dtype == torch.float32


def test_state_survives_a_round_trip_and_is_not_started_again() -> None:
    layer, z = quantizer(init="kmeans", expansion=2), vectors()
    layer(z)
    copy = quantizer(init="kmeans", expansion=2)
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(layer(z).codes, copy(z).codes)
    assert torch.equal(layer.codebook, copy.codebook)


def test_kmeans_finds_separate_clusters() -> None:
    torch.manual_seed(0)
    centres = 10 * torch.eye(4)
    points = centres.repeat_interleave(25, dim=0) + 0.1 * torch.randn(100, 4)
    found = kmeans(points, 4)
    assert torch.cdist(centres, found).min(dim=1).values.max() < 0.1
    assert kmeans(points[:3], 7).shape == (7, 4)


def test_an_expansion_beyond_the_codebook_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expansion=13.*at most num_codes=12"):
        quantizer(expansion=13)
    with pytest.raises(ValueError, match="expansion=13"):
        quantizer().assign(vectors(), 13)


OPTIONS = {"expansion": 2, "init": "kmeans", "restart_below": 0.5}
START = "fork" if sys.platform == "linux" else "spawn"  # a fork has already imported torch


def _rank(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(rank)  # ranks that draw differently must still agree
    layer, z = VectorQuantizer(NUM_CODES, DIM, **OPTIONS), vectors(80)
    layer.start(z)
    started = layer.codebook.clone()
    layer.restart_below = 0.0
    layer(z[rank::2])
    followed = layer.codebook.clone()
    facts = layer.statistics()
    layer.restart_below, layer.hits[:3] = 0.9, 0.0
    layer(z[rank::2])
    torch.save([started, followed, layer.codebook, torch.tensor(list(facts.values()))], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_two_processes_hold_the_codebook_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(_rank, (port, str(tmp_path)), nprocs=2, start_method=START)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
    alone, z = (
        VectorQuantizer(NUM_CODES, DIM, **{**OPTIONS, "init": "uniform", "restart_below": 0.0}),
        vectors(80),
    )
    alone.codebook.copy_(first[0])
    alone.sums.copy_(first[0])
    alone(z)
    assert torch.allclose(alone.codebook, first[1], atol=1e-5)
    assert first[3].tolist() == pytest.approx(list(alone.statistics().values()), abs=1e-5)
