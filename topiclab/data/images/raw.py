"""RawImages: all pictures of a source as one array, decoded once and cached, before sampling and split."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from topiclab.cache import Cache, save_array
from topiclab.data.corpus import SPLITS
from topiclab.data.documents import index_labels
from topiclab.data.images.files import Reading, decode_all
from topiclab.data.images.listings import Listing

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RawImages:
    """All images of a source, as in ImageSet; own_split (D,) int8 is the published split, or None."""

    ids: tuple[str, ...]
    images: np.ndarray
    digests: np.ndarray
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    own_split: np.ndarray | None = None
    info: dict[str, Any] = field(default_factory=dict)


def decoded_images(listing: Listing, reading: Reading, cache_root: Path | None, name: str) -> RawImages:
    """Decode the pictures of a listing; with a cache, once per files and reading, then memory-mapped."""
    arrays, facts = _arrays(listing, reading, cache_root, name)
    if facts["skipped"]:
        log.warning(
            "images %s: %d of %d are corrupt and left out, the first is %s",
            name,
            facts["skipped"],
            facts["read"],
            facts["skipped_names"][0],
        )
    if facts["flattened"]:
        log.warning(
            "images %s: %d of %d are partly transparent and were composited on white",
            name,
            facts["flattened"],
            facts["read"],
        )
    rows: list[int] = arrays["rows"].tolist()
    labels, label_names = index_labels([listing.labels[row] for row in rows])
    parts = listing.parts
    return RawImages(
        ids=tuple(listing.ids[row] for row in rows),
        images=arrays["images"],
        digests=arrays["digests"],
        labels=labels,
        label_names=label_names,
        own_split=None if parts is None else own_split([parts[row] for row in rows]),
        info=facts,
    )


def own_split(parts: Sequence[str]) -> np.ndarray:
    """Index (D,) int8 into SPLITS of the published parts."""
    return np.array([SPLITS.index(part) for part in parts], dtype=np.int8)


def _arrays(
    listing: Listing, reading: Reading, cache_root: Path | None, name: str
) -> tuple[Mapping[str, np.ndarray], dict[str, Any]]:
    """Arrays images, rows (in the listing) and digests, and facts about the decoding."""

    def compute() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        decoded = decode_all(listing.ids, listing.open(), reading)
        digests = image_digests(decoded.images)
        return {"images": decoded.images, "rows": decoded.rows, "digests": digests}, decoded.info

    def fill(folder: Path) -> dict[str, Any]:
        arrays, info = compute()
        for stem, array in arrays.items():
            save_array(folder / f"{stem}.npy", array)
        return {"pictures": info}

    if cache_root is None:
        return compute()
    stamps = hashlib.sha256(repr(list(listing.stamps)).encode("utf-8", "surrogatepass")).hexdigest()
    key = {"pillow": PIL.__version__, "files": stamps, **vars(reading)}
    entry = Cache(Path(cache_root)).entry("images", key, fill)
    origin = "from the cache" if entry.is_cached else f"decoded in {entry.manifest['seconds']:.1f} s"
    log.info("images %s: %d pictures, %s", name, len(listing.ids), origin)
    return entry.arrays(), dict(entry.manifest["pictures"])


def image_digests(images: np.ndarray) -> np.ndarray:
    """Return the sha256 of each image's shape and pixels, (D, 32) uint8."""
    shape = ",".join(map(str, images.shape[1:])).encode()
    digests = b"".join(hashlib.sha256(shape + image.tobytes()).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(len(images), 32)
