"""ImageSet: pictures, labels and the split, and the corpus of visual words made from them by a codebook."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse

from topiclab.data.corpus import SPLITS, Corpus, known_words
from topiclab.data.images.files import Reading, decode
from topiclab.data.images.raw import RawImages, image_digests
from topiclab.data.images.sources import read_source
from topiclab.settings import Split

log = logging.getLogger(__name__)

Regions = Literal["codes", "quadrant", "position"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A frozen set of D images of one size.

    ids: D distinct strings: a file's path, or the number within the set.
    images: (D, C, H, W) uint8, C = 1 (grey) or 3 (red, green, blue); may be a read-only memory map.
    split: (D,) int8 index into SPLITS.
    labels: (D,) int64 index into label_names, -1 if an image has none; None for a set without labels.
    info: plain facts about its creation (skipped files, duplicates, ...).
    digests: (D, 32) uint8, sha256 of each image; None if the loader has not computed it.
    """

    name: str
    ids: tuple[str, ...]
    images: np.ndarray
    split: np.ndarray
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    digests: np.ndarray | None = None

    @property
    def num_docs(self) -> int:
        return len(self.images)

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    @cached_property
    def fingerprint(self) -> str:
        """Return a sha256 over all that a run depends on: the images in order, split and labels."""
        digests = image_digests(self.images) if self.digests is None else self.digests
        arrays = [digests, self.split] + ([] if self.labels is None else [self.labels])
        whole = hashlib.sha256("\n".join(self.label_names).encode("utf-8", "surrogatepass"))
        for array in arrays:
            whole.update(hashlib.sha256(array.tobytes()).digest())
        return whole.hexdigest()


def load_images(
    data: Mapping[str, Any], folder: str | Path | None = None, cache_root: Path | None = None
) -> ImageSet:
    """Load the images described by the configuration group `data`.

    folder: location of image files (paths.data); None is the folder that data_folder finds.
    cache_root: paths.cache, where decoded files are kept and memory-mapped; None decodes every time.
    Raises FileNotFoundError or ValueError with the way out; see the readers.
    """
    raw = read_source(data, folder, cache_root)
    rows = _sampled(raw.ids, data["sample"], data["sample_seed"])
    if len(rows) < 2:
        raise ValueError(
            f"images {data['name']}: {len(rows)} of them, but a topic model needs at least 2; check data.path"
        )
    digests = raw.digests[rows]
    split = _split(raw, rows, digests, Split.of(data["split"]), data["name"])
    if SPLITS.index("train") not in split:
        raise ValueError(
            f"images {data['name']}: all {len(rows)} fell into validation and test, none into training; "
            "use data.split.val=0 data.split.test=0 for so few images"
        )
    is_whole = len(rows) == len(raw.ids)
    return ImageSet(
        name=data["name"],
        ids=raw.ids if is_whole else tuple(raw.ids[row] for row in rows),
        images=raw.images if is_whole else raw.images[rows],
        split=split,
        labels=None if raw.labels is None else raw.labels[rows],
        label_names=raw.label_names,
        info={**raw.info, "duplicates": len(rows) - len(np.unique(digests, axis=0))},
        digests=digests,
    )


def read_image(path: str | Path, shape: tuple[int, int, int], crop: int | None = None) -> np.ndarray:
    """Read one picture for a model of images of this shape: (C, H, W) uint8.

    It is converted to grey or colour by C, cropped to the centre square of side `crop` (data.crop), then
    centre-cropped to the aspect ratio of H and W, and resized.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such picture")
    channels, height, width = shape
    return decode(path.read_bytes(), str(path), Reading(channels, crop, (height, width)))[0]


def code_corpus(images: ImageSet, grid: np.ndarray, num_codes: int, regions: Regions) -> Corpus:
    """Corpus with each image as a document of visual words, one per cell of its code grid in raster order.

    grid: (D, h, w) integers below num_codes (N).
    regions: `codes`: a word is a code (c017); `quadrant` or `position`: a word is a code in one of the four
    quarters or the h * w cells of the grid (q2c017, p05c017). Word ids are region * N + code, so every code
    of every region is a word, used or not, and the vocabulary is in this order, not by frequency.
    """
    if len(grid) != images.num_docs:
        raise ValueError(f"{images.num_docs} images but {len(grid)} code grids; give one for every image")
    if grid.size and not 0 <= int(grid.min()) <= int(grid.max()) < num_codes:
        raise ValueError(
            f"the grids hold codes {grid.min()}..{grid.max()}, but the codebook has {num_codes}; "
            f"give codes from 0 to {num_codes - 1}"
        )
    num_docs, height, width = grid.shape
    region, names = cell_regions(height, width, regions)
    digits = max(3, len(str(num_codes - 1)))
    vocab = tuple(f"{name}c{code:0{digits}d}" for name in names for code in range(num_codes))
    words = (region.reshape(-1) * num_codes + grid.reshape(num_docs, -1)).astype(np.int32)
    offsets = np.arange(num_docs + 1, dtype=np.int64) * (height * width)
    bow = sparse.csr_matrix(
        (np.ones(words.size, np.int32), words.reshape(-1).copy(), offsets), shape=(num_docs, len(vocab))
    )
    bow.sum_duplicates()
    return Corpus(
        name=images.name,
        ids=images.ids,
        texts=tuple(known_words(vocab, words.reshape(-1), offsets)),
        vocab=vocab,
        bow=bow,
        token_ids=words.reshape(-1),
        token_offsets=offsets,
        split=images.split,
        labels=images.labels,
        label_names=images.label_names,
        info={**images.info, "regions": regions, "num_codes": num_codes},
    )


def cell_regions(height: int, width: int, regions: Regions) -> tuple[np.ndarray, list[str]]:
    """Return the region of each cell (h, w), and the regions' names in order."""
    rows, columns = np.indices((height, width))
    if regions == "codes":
        return np.zeros_like(rows), [""]
    if regions == "quadrant":
        return rows * 2 // height * 2 + columns * 2 // width, [f"q{number}" for number in range(4)]
    if regions == "position":
        cells = height * width
        digits = max(2, len(str(cells - 1)))
        return rows * width + columns, [f"p{cell:0{digits}d}" for cell in range(cells)]
    raise ValueError(f"regions={regions} is unknown; use codes, quadrant or position")


def _sampled(ids: tuple[str, ...], size: int | None, seed: int) -> np.ndarray:
    """Rows, ascending, of the `size` images with the smallest hash of (seed, id), as for documents."""
    if size is None or size >= len(ids):
        return np.arange(len(ids))
    rank = [hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest() for name in ids]
    return np.sort(np.array(sorted(range(len(ids)), key=rank.__getitem__)[:size], dtype=np.int64))


def _split(raw: RawImages, rows: np.ndarray, digests: np.ndarray, shares: Split, name: str) -> np.ndarray:
    """Split of each image, (D,) int8: by the hash of its pixels, or the published one where a share is null.

    As for documents, an image's split does not depend on the other images, and equal images stay together.
    """
    val, test, own = shares.val, shares.test, raw.own_split
    if own is None:
        if None in (val, test):
            raise ValueError(
                f"data.split.val={val} data.split.test={test}: null keeps the published split, which "
                f"{name} does not have; give shares such as 0.1"
            )
        own = np.full(len(raw.ids), -1, np.int8)
    position = digests[:, :8].copy().view(">u8")[:, 0] / 2.0**64
    held_out = test or 0.0  # test is cut first: changing val leaves it as it is
    names = {part: number for number, part in enumerate(SPLITS)}
    is_val = (position >= held_out) & (position < held_out + (val or 0.0))
    split = np.full(len(rows), names["train"], dtype=np.int8)
    split[own[rows] == names["val"] if val is None else is_val] = names["val"]
    split[own[rows] == names["test"] if test is None else position < test] = names["test"]
    return split
