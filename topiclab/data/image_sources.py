"""Image sources: the pictures that scikit-learn, Parquet files and folders hold, before sample and split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class RawImages:
    """All images of a source, as ImageSet holds them; own_split (D,) int8 is the makers' division or None."""

    ids: tuple[str, ...]
    images: np.ndarray
    digests: np.ndarray
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    own_split: np.ndarray | None = None
    info: dict[str, Any] = field(default_factory=dict)


def read_source(data: Mapping[str, Any], folder: str | Path | None, cache_root: Path | None) -> RawImages:
    """The images that data.source names, decoded or from the cache."""
    source = data["source"]
    if source == "digits":
        return digits()
    raise ValueError(f"data.source={source} is unknown; use digits, cifar10, celeba or images")


def digits() -> RawImages:
    """1,797 handwritten digits of 8x8 cells, inside scikit-learn (Alpaydin & Kaynak 1998).

    A cell is the number of inked pixels among sixteen, 0..16, here scaled to 0..255.
    """
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)[:, None]
    return RawImages(
        ids=tuple(map(str, range(len(images)))),
        images=images,
        digests=image_digests(images),
        labels=found.target.astype(np.int64),
        label_names=tuple(map(str, found.target_names)),
    )


def image_digests(images: np.ndarray) -> np.ndarray:
    """sha256 of each image's shape and pixels, (D, 32) uint8."""
    shape = ",".join(map(str, images.shape[1:])).encode()
    digests = b"".join(hashlib.sha256(shape + image.tobytes()).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(len(images), 32)
