"""Codes of images: every image as a grid of codes (stage 1 for images).

The options are the block `codebook` of the model's yaml; published values are those for CIFAR-10:

    code_dim: 32 # d; published: 256
    num_downsamples: 1 # halvings of the sides: 8x8 digits -> 4x4 codes; published: 2
    width: 32 # channels; published: 256
    num_blocks: 2 # residual blocks on either side
    block_dim: 32 # channels inside a residual block
    update: ema # ema | gradient (published)
    decay: 0.9 # of the running means of update=ema; a longer memory makes codes lag further behind
    init: kmeans # kmeans | uniform in +-1/N (published)
    restart_below: 0.5 # hits per batch below which a code moves to a cell of the batch; published: 0, never
    commitment: 0.25 # weight of the loss that draws cells to their codes; published: 1
    lr: 4.0e-3 # published: 2e-4
    max_epochs: 30
    batch_size: 64
    is_best_kept: true # keep the epoch that is best on validation images
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch

from topiclab.cache import key_hash
from topiclab.data.images.image_set import ImageSet
from topiclab.device import resolve_device, trains_in_bf16
from topiclab.limits import Count, Positive, Share, Weight
from topiclab.models.codes.codebook import (
    EVAL_BATCH,
    Codebook,
    CodebookTraining,
    own_random_state,
    stored_codebook,
    train_codebook,
)
from topiclab.nn.conv_autoencoder import ImageAutoencoder

VERSION = 1  # of the computation; a new number invalidates older cache entries
SIZES = ("code_dim", "num_downsamples", "width", "num_blocks", "block_dim")
GRID = "grid"


class ImageCodebook(TypedDict):
    """Block `codebook` of conf/model/tvqvae_image.yaml."""

    code_dim: Count
    num_downsamples: Count
    width: Count
    num_blocks: Count
    block_dim: Count
    update: Literal["ema", "gradient"]
    decay: Share
    init: Literal["kmeans", "uniform"]
    restart_below: Weight
    commitment: Weight
    lr: Positive
    max_epochs: Count
    batch_size: Count
    is_best_kept: bool


@dataclass(frozen=True, eq=False)
class ImageCodes:
    """Stage 1 of an image set.  grid: (D, h, w) int16 codes of all images.  autoencoder: in eval mode."""

    codebook: Codebook
    grid: np.ndarray
    autoencoder: ImageAutoencoder


def image_codes(
    images: ImageSet,
    options: ImageCodebook,
    *,
    num_codes: int,
    seed: int,
    cache_root: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> ImageCodes:
    """Train stage 1 on the training images, or load it from the cache, and encode all images.

    Raises ValueError for sides that cannot be halved, and for more codes than cells in the training images.
    """
    place = torch.device(resolve_device(device))
    is_bf16 = trains_in_bf16(precision, place)
    given: dict[str, Any] = dict(options)
    with own_random_state():
        torch.manual_seed(seed)
        autoencoder = ImageAutoencoder(
            image_shape=images.images.shape[1:],
            num_codes=num_codes,
            **{name: given[name] for name in SIZES},
            quantizer={
                "update": options["update"],
                "decay": options["decay"],
                "init": options["init"],
                "restart_below": options["restart_below"],
                "commitment": options["commitment"],
            },
        )
    _check_codes(images, autoencoder, num_codes)
    key = {
        "what": "image_codes",
        "version": VERSION,
        "images": images.fingerprint,
        "options": dict(options),
        "num_codes": num_codes,
        "seed": seed,
        "precision": "bf16" if is_bf16 else "fp32",
    }

    def compute() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        facts = _train(autoencoder, images, options, seed, str(place), is_bf16)
        return {**autoencoder.state(), GRID: _grids(autoencoder, images.images)}, facts

    what = f"codebook of {num_codes} codes for {images.name}, seed {seed}"
    arrays, facts, is_cached = stored_codebook(cache_root, key, compute, what)
    autoencoder.load_state({name: array for name, array in arrays.items() if name != GRID})
    codebook = autoencoder.to(place).eval().quantizer.codebook.detach().cpu().numpy()
    return ImageCodes(Codebook(key_hash(key), codebook, facts, is_cached), arrays[GRID], autoencoder)


def _train(
    autoencoder: ImageAutoencoder,
    images: ImageSet,
    options: ImageCodebook,
    seed: int,
    device: str,
    is_bf16: bool,
) -> dict[str, Any]:
    training = CodebookTraining(
        autoencoder,
        torch.from_numpy(np.array(images.images)),
        train_rows=images.rows("train"),
        val_rows=images.rows("val"),
        seed=seed,
        batch_size=options["batch_size"],
        lr=options["lr"],
        is_best_kept=options["is_best_kept"],
    )
    return train_codebook(training, max_epochs=options["max_epochs"], device=device, is_bf16=is_bf16)


def _grids(autoencoder: ImageAutoencoder, images: np.ndarray) -> np.ndarray:
    parts = range(0, len(images), EVAL_BATCH)
    grids = [autoencoder.encode(images[start : start + EVAL_BATCH]) for start in parts]
    return np.concatenate(grids).astype(np.int16)


def _check_codes(images: ImageSet, autoencoder: ImageAutoencoder, num_codes: int) -> None:
    num_cells = len(images.rows("train")) * int(np.prod(autoencoder.grid_shape))
    most = min(num_cells, np.iinfo(np.int16).max)
    if num_codes > most:
        why = f"{images.name} has {num_cells} cells to train on" if most == num_cells else "grids are int16"
        raise ValueError(f"model.num_codes={num_codes}, but {why}; lower model.num_codes to at most {most}")
