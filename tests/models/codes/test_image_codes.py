"""Stage 1 for images: codes in use, reconstructions, run folders, the cache, and refused input."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from topiclab.data.images.image_set import ImageSet
from topiclab.models.codes.image_codes import ImageCodes, image_codes
from topiclab.nn.conv_autoencoder import ImageAutoencoder

NUM_CODES = 64
OPTIONS = {
    "code_dim": 16,
    "num_downsamples": 1,
    "width": 24,
    "num_blocks": 1,
    "block_dim": 16,
    "update": "ema",
    "decay": 0.95,
    "init": "kmeans",
    "restart_below": 0.5,
    "commitment": 0.25,
    "lr": 4e-3,
    "max_epochs": 8,
    "batch_size": 64,
    "is_best_kept": True,
}
SIZES = {"code_dim": 6, "num_downsamples": 2, "width": 8, "num_blocks": 1, "block_dim": 4}


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    images = (load_digits().images * (255 / 16)).astype(np.uint8)[:, None]
    split = np.zeros(len(images), np.int8)
    split[np.random.default_rng(0).permutation(len(images))[:360]] = 1
    return image_set(images, split)


def image_set(images: np.ndarray, split: np.ndarray | None = None) -> ImageSet:
    num = len(images)
    if split is None:
        split = (np.arange(num) % 4 == 3).astype(np.int8)
    return ImageSet("pictures", tuple(map(str, range(num))), images, split)


def noise(num: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, *shape), dtype=np.uint8)


def fit(images: ImageSet, cache: Path | None = None, num_codes: int = NUM_CODES, **changed) -> ImageCodes:
    seed = changed.pop("seed", 0)
    options = OPTIONS | changed
    return image_codes(
        images, options, num_codes=num_codes, seed=seed, cache_root=cache, device="cpu", precision="fp32"
    )


@pytest.fixture(scope="module")
def digit_codes(digits: ImageSet) -> ImageCodes:
    return fit(digits)


def test_restarts_keep_the_codes_of_digits_in_use(digits: ImageSet, digit_codes: ImageCodes) -> None:
    facts = digit_codes.codebook.facts
    assert facts["usage"] > 0.9
    assert facts["perplexity"] > 35
    assert facts["mse"] < 0.09  # for pixels in -1..1, whose variance is 0.565
    published = {"update": "gradient", "init": "uniform", "restart_below": 0.0, "commitment": 1.0, "lr": 2e-4}
    collapsed = fit(digits, **published).codebook.facts
    assert collapsed["usage"] < 0.5
    assert collapsed["mse"] > 1.5 * facts["mse"]


def test_digits_come_back_from_their_codes(digits: ImageSet, digit_codes: ImageCodes) -> None:
    grid, autoencoder = digit_codes.grid, digit_codes.autoencoder
    assert grid.shape == (1797, 4, 4)
    assert grid.dtype == np.int16
    assert digit_codes.codebook.vectors.shape == (NUM_CODES, 16)
    val = digits.rows("val")
    codes = autoencoder.encode(digits.images[val])  # in other batches: a code between two may round to either
    assert (codes == grid[val]).mean() > 0.999
    restored = autoencoder.decode(codes)
    assert restored.dtype == np.uint8
    assert np.array_equal(autoencoder.reconstruct(digits.images[val]), restored)
    error = np.square(restored / 127.5 - digits.images[val] / 127.5).mean()
    assert error == pytest.approx(digit_codes.codebook.facts["mse"], rel=0.05)


def test_the_best_epoch_is_kept(digits: ImageSet) -> None:
    found = fit(digits, max_epochs=3, lr=0.05, decay=0.5)
    history = found.codebook.facts["history"]
    assert found.codebook.facts["mse"] == pytest.approx(min(row["val_mse"] for row in history), rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "num_downsamples"), [((1, 8, 8), 1), ((3, 8, 12), 2), ((2, 6, 4), 1), ((3, 16, 16), 3)]
)
def test_any_channels_and_even_sizes(shape: tuple[int, ...], num_downsamples: int) -> None:
    found = fit(image_set(noise(24, *shape)), num_codes=8, max_epochs=1, num_downsamples=num_downsamples)
    _, height, width = shape
    assert found.grid.shape == (24, height >> num_downsamples, width >> num_downsamples)
    assert found.autoencoder.decode(found.grid).shape == (24, *shape)
    assert found.autoencoder.encode(np.empty((0, *shape), np.uint8)).shape == (0, *found.grid.shape[1:])


def test_a_run_folder_rebuilds_the_autoencoder(digits: ImageSet, digit_codes: ImageCodes) -> None:
    for made in (digit_codes.autoencoder, fit(digits, update="gradient", max_epochs=1).autoencoder):
        copy = ImageAutoencoder(**made.sizes)
        copy.load_state({name: np.array(array) for name, array in made.state().items()})
        assert np.array_equal(copy.encode(digits.images[:50]), made.encode(digits.images[:50]))
        assert np.array_equal(copy.reconstruct(digits.images[:50]), made.reconstruct(digits.images[:50]))
    state = dict(made.state())
    del state["quantizer.codebook"]
    with pytest.raises(ValueError, match=r"lacks \['quantizer.codebook'\]"):
        copy.load_state(state)
    with pytest.raises(ValueError, match="does not fit its sizes"):
        ImageAutoencoder(**{**made.sizes, "code_dim": 5}).load_state(made.state())


def test_a_second_call_reads_the_cache_and_other_images_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quick = {"num_codes": 8, "max_epochs": 1}
    images = image_set(noise(40, 1, 4, 4))
    with caplog.at_level(logging.INFO):
        first, second = fit(images, tmp_path, **quick), fit(images, tmp_path, **quick)
    assert [first.codebook.is_cached, second.codebook.is_cached] == [False, True]
    assert "codebook of 8 codes for pictures, seed 0: computed in" in caplog.text
    assert "codebook of 8 codes for pictures, seed 0: from the cache" in caplog.text
    assert np.array_equal(first.grid, second.grid)
    assert first.codebook.facts == second.codebook.facts
    restored = [found.autoencoder.reconstruct(images.images) for found in (first, second)]
    assert np.array_equal(*restored)
    others = [
        fit(image_set(noise(40, 1, 4, 4, seed=1)), tmp_path, **quick),
        fit(image_set(images.images, np.zeros(40, np.int8)), tmp_path, **quick),
        fit(images, tmp_path, seed=1, **quick),
        fit(images, tmp_path, lr=1e-3, **quick),
    ]
    assert not any(other.codebook.is_cached for other in others)
    assert len({first.codebook.key, *(other.codebook.key for other in others)}) == 5


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"7x8 cannot be halved num_downsamples=1 .*multiples of 2"):
        fit(image_set(noise(8, 1, 7, 8)))
    with pytest.raises(ValueError, match=r"10x8 cannot be halved num_downsamples=2 .*num_downsamples=1 or"):
        fit(image_set(noise(8, 1, 10, 8)), num_downsamples=2)
    with pytest.raises(ValueError, match=r"num_codes=25, but pictures has 24 cells .*at most 24"):
        fit(image_set(noise(8, 1, 4, 4)), num_codes=25)


def test_codes_and_statistics_are_float32_under_autocast() -> None:
    torch.manual_seed(0)
    module = ImageAutoencoder(image_shape=(3, 16, 16), num_codes=8, **SIZES).train()
    inputs = module.prepare(torch.from_numpy(noise(6, 3, 16, 16)))
    seen: dict[str, torch.dtype] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.Conv2d):
            layer.register_forward_hook(lambda _l, _i, out, name=name: seen.__setitem__(name, out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        quantized = module.quantizer(module.vectors(inputs))
        module.restored(quantized.vectors).mean().backward()
    kinds = {name: isinstance(module.get_submodule(name), torch.nn.BatchNorm2d) for name in seen}
    assert {seen[name] for name, is_norm in kinds.items() if is_norm} == {torch.float32}
    assert {seen[name] for name, is_norm in kinds.items() if not is_norm} == {torch.bfloat16}
    assert quantized.vectors.dtype == torch.float32
