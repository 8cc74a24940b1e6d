"""Images per second of TVQ-VAE on one GPU at the size published for CIFAR-10, and the projected full run.

    python benchmarks/gpu_tvqvae.py [--data FOLDER] [--images 12800] [--steps 200] [--matmul high]
    python benchmarks/gpu_tvqvae.py --device cpu --small --steps 2

FOLDER is paths.data with CIFAR-10 in it; without it the images are random bytes, which cost the same. They
are on the device, in batches of 128. Stage 1: autoencoder of width 256 to grids of 8 x 8, 512 codes of
256 dimensions, learned by gradient. Stage 2: 100 topics over bags of random codes, gated PixelCNN of 15
layers of 64. A step is the model's own forward and backward pass and the optimizer's. Ways of each stage:

    fp32            float32; --matmul high also lets matrix products be TF32 (convolutions always may)
    bf16            autocast; codes, batch norms and topics stay float32
    bf16 compiled   the autoencoder's halves, or the prior, through torch.compile; not on a CPU

Then grids are drawn from single topics and decoded, 64 and --draw at a time. Peak memory is what torch
reserved. Reading files, validation, metrics and pictures are not included.
Exits with 1 when the best ways project more than 80 minutes for 100 epochs of 45,000 images in both stages; a
CPU is not judged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.images.image_set import ImageSet, code_corpus, load_images
from topiclab.models.codes.codebook import CodebookTraining
from topiclab.models.codes.image_codes import SIZES
from topiclab.models.tvqvae_image import TVQVAEImage
from topiclab.nn.conv_autoencoder import ImageAutoencoder
from topiclab.nn.quantizer import QuantizerOptions
from topiclab.pipeline.fit_images import make_image_model

PAPER_IMAGES, EPOCHS, MAX_SECONDS = 45_000, 100, 4800
WARMUP, SEED = 10, 0
PUBLISHED = {
    "num_topics": 100,
    "model.num_codes": 512,
    "model.regions": "codes",
    "model.codebook.code_dim": 256,
    "model.codebook.num_downsamples": 2,
    "model.codebook.width": 256,
    "model.codebook.num_blocks": 2,
    "model.codebook.block_dim": 256,
    "model.codebook.update": "gradient",
    "model.codebook.init": "uniform",
    "model.codebook.restart_below": 0.0,
    "model.codebook.lr": 2.0e-4,
    "model.codebook.batch_size": 128,
    "model.encoder.dropout": 0.0,
    "model.encoder.head_batch_norm": "true",
    "model.is_prior_learned": "true",
    "model.init": "random",
    "model.prior.width": 64,
    "model.prior.num_layers": 15,
    "model.prior.dropout": 0.0,
    "model.prior_weight": 1 / 64,
    "model.is_theta_taught": "false",
    "model.condition_dropout": 0.0,
    "model.topic_norm": "false",
    "model.batch_size": 128,
    "model.lr": 1.0e-3,
}
SMALL = {
    "num_topics": 4,
    "model.num_codes": 16,
    "model.codebook.code_dim": 8,
    "model.codebook.width": 8,
    "model.codebook.block_dim": 8,
    "model.codebook.batch_size": 8,
    "model.prior.width": 8,
    "model.prior.num_layers": 2,
    "model.batch_size": 8,
}


@dataclass(frozen=True)
class Way:
    name: str
    is_bf16: bool = False
    is_compiled: bool = False

    def precision(self, device: torch.device) -> Any:
        return torch.autocast(device.type, torch.bfloat16) if self.is_bf16 else nullcontext()


WAYS = (Way("fp32"), Way("bf16", is_bf16=True), Way("bf16 compiled", is_bf16=True, is_compiled=True))


@dataclass(frozen=True)
class Reading:
    """Seconds of a step, peak bytes on the device, and the loss of the first and of the last step."""

    seconds: float
    peak: int
    first_loss: float
    last_loss: float


def random_images(count: int) -> ImageSet:
    generator = np.random.default_rng(SEED)
    pixels = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return ImageSet("random", tuple(map(str, range(count))), pixels, np.zeros(count, np.int8))


def batches(count: int, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Yield rows of whole batches without end, reshuffled every epoch."""
    while True:
        rows = torch.randperm(count, device=device)
        yield from rows[: count - count % batch_size].split(batch_size)


def make_autoencoder(cfg: dict[str, Any]) -> ImageAutoencoder:
    torch.manual_seed(SEED)
    options = cfg["model"]["codebook"]
    return ImageAutoencoder(
        image_shape=(3, 32, 32),
        num_codes=cfg["model"]["num_codes"],
        **{name: options[name] for name in SIZES},
        quantizer={name: options[name] for name in QuantizerOptions.__annotations__},  # type: ignore[arg-type]
    )


def stage_one(cfg: dict[str, Any], images: ImageSet, way: Way, device: torch.device) -> Callable[[], Tensor]:
    """Make a step of the autoencoder and its codebook."""
    options = cfg["model"]["codebook"]
    inputs, rows = torch.from_numpy(np.array(images.images)).to(device), np.arange(images.num_docs)
    sizes = {name: options[name] for name in ("batch_size", "lr")}
    training = CodebookTraining(make_autoencoder(cfg), inputs, train_rows=rows, seed=SEED, **sizes).to(device)
    if way.is_compiled:
        training.autoencoder.encoder.compile()
        training.autoencoder.decoder.compile()
    optimizer = training.configure_optimizers()
    parts = batches(images.num_docs, options["batch_size"], device)

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with way.precision(device):
            loss, error = training.reconstruct(training.autoencoder.prepare(inputs[next(parts)]))
        (loss + error).backward()
        optimizer.step()
        return error.detach()

    return step


def make_topics(cfg: dict[str, Any], images: ImageSet, device: torch.device) -> TVQVAEImage:
    """Make the topic model and its prior on random grids, as at the start of a fit."""
    torch.manual_seed(SEED)
    generator = np.random.default_rng(SEED)
    num_codes, dim = cfg["model"]["num_codes"], cfg["model"]["codebook"]["code_dim"]
    grid = generator.integers(num_codes, size=(images.num_docs, 8, 8)).astype(np.int16)
    codebook = generator.standard_normal((num_codes, dim)).astype(np.float32)
    datamodule = TopicDataModule(
        code_corpus(images, grid, num_codes, "codes"),
        grid.reshape(len(grid), -1).astype(np.float32),
        word_vectors=lambda: codebook,
    )
    model = make_image_model(Configuration.of(cfg), datamodule, (8, 8)).to(device)
    model.initialize(datamodule)
    model.load_documents(datamodule)
    return model


def stage_two(cfg: dict[str, Any], images: ImageSet, way: Way, device: torch.device) -> Callable[[], Tensor]:
    """Make a step of the topics and their prior."""
    model = make_topics(cfg, images, device)
    assert model.prior is not None
    if way.is_compiled:
        model.prior.logits = torch.compile(model.prior.logits)  # type: ignore[method-assign]
    optimizer = model.configure_optimizers()
    parts = batches(images.num_docs, cfg["model"]["batch_size"], device)

    def step() -> Tensor:
        rows = next(parts)
        optimizer.zero_grad(set_to_none=True)
        batch = next(model.batches(rows, len(rows)))
        with way.precision(device):
            means = {name: values.mean() for name, values in model.losses(batch).items()}
        loss = model.total_loss(means, 1.0)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(make: Callable[[], Callable[[], Tensor]], steps: int, device: torch.device) -> Reading:
    """Make a stage, warm it up, and time this number of steps."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step = make()
    first_loss = step().item()
    for _ in range(min(steps, WARMUP)):
        step()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(steps - 1):
        step()
    last_loss = step().item()
    seconds = (time.perf_counter() - start) / steps
    peak = torch.cuda.max_memory_reserved() if device.type == "cuda" else 0
    return Reading(seconds, peak, first_loss, last_loss)


def measure_stages(cfg: dict[str, Any], images: ImageSet, steps: int, device: torch.device) -> list[float]:
    """Print a line for each way of each stage; return each stage's lowest seconds per image."""
    print(f"stage {'way':<15}{'ms/step':>10}{'images/s':>11}{'peak GiB':>10}{'first loss':>12}{'last':>10}")
    best = []
    batch_sizes = (cfg["model"]["codebook"]["batch_size"], cfg["model"]["batch_size"])
    for number, (stage, batch_size) in enumerate(zip((stage_one, stage_two), batch_sizes, strict=True), 1):
        found = []
        for way in WAYS:
            if way.is_compiled and device.type == "cpu":
                continue
            reading = measure(lambda stage=stage, way=way: stage(cfg, images, way, device), steps, device)
            found.append(reading.seconds / batch_size)
            print(
                f"{number:<6}{way.name:<15}{1e3 * reading.seconds:10.2f}{1 / found[-1]:11.0f}"
                f"{reading.peak / 2**30:10.2f}{reading.first_loss:12.3f}{reading.last_loss:10.3f}",
                flush=True,
            )
        best.append(min(found))
    return best


def measure_samples(cfg: dict[str, Any], images: ImageSet, counts: list[int], device: torch.device) -> None:
    """Print images per second drawn from single topics and decoded."""
    model, autoencoder = make_topics(cfg, images, device), make_autoencoder(cfg).to(device)
    for way in WAYS[:2]:
        for count in counts:
            theta = np.eye(model.num_topics, dtype=np.float32)[np.arange(count) % model.num_topics]
            for _ in range(2):  # the first is a warm-up
                synchronize(device)
                start = time.perf_counter()
                with way.precision(device):
                    autoencoder.decode(model.draw(theta, count, SEED))
                seconds = time.perf_counter() - start
            print(f"draw  {way.name:<15}{1e3 * seconds:10.2f}{count / seconds:11.1f}  ({count} at a time)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--data", metavar="FOLDER", help="paths.data with CIFAR-10; default: random images")
    parser.add_argument("--images", type=int, default=12_800, help="number of random images")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--draw", type=int, default=1024, help="images drawn at a time, besides 64")
    parser.add_argument(
        "--matmul", default="highest", choices=["highest", "high"], help="high: TF32 products"
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; run on a machine with one, or use --device cpu")
    device = torch.device(options.device)
    torch.set_float32_matmul_precision(options.matmul)
    sizes = {**PUBLISHED, **(SMALL if options.small else {})}
    counts = [4] if options.small else [64, options.draw]
    overrides = [f"{name}={value}" for name, value in sizes.items()]
    cfg = compose(["model=tvqvae_image", "data=cifar10", *overrides])
    images = random_images(64 if options.small else options.images)
    if options.data is not None:
        images = load_images(cfg["data"], options.data)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{name}, torch {torch.__version__} ({options.matmul}), {images.num_docs} {images.name} images, "
        f"batch {cfg['model']['batch_size']}, from {options.steps} steps"
    )
    best = measure_stages(cfg, images, options.steps, device)
    measure_samples(cfg, images, counts, device)
    minutes = [PAPER_IMAGES * EPOCHS * seconds / 60 for seconds in best]
    print(
        f"{EPOCHS} epochs of {PAPER_IMAGES} images, the best ways: stage 1 {minutes[0]:.1f} and stage 2 "
        f"{minutes[1]:.1f} minutes (aim: {MAX_SECONDS // 60} for both)"
    )
    return int(device.type == "cuda" and 60 * sum(minutes) > MAX_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
