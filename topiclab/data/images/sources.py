"""Image sources: readers of the sets that data.source can name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.data.images.files import Reading
from topiclab.data.images.listings import Listing, celeba_listing, folder_listing, parquet_listing
from topiclab.data.images.raw import RawImages, decoded_images, image_digests, own_split
from topiclab.reads import note_reads
from topiclab.settings import data_folder

CIFAR_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
CIFAR_SHAPE, CIFAR_RECORD = (3, 32, 32), 1 + 3 * 32 * 32
# Possible places of a set in the data folder, and what to put there.
PLACES = {
    "cifar10": ("cifar10.parquet", "cifar10", "cifar-10-batches-bin"),
    "celeba": ("celeba",),
}
ORIGINS = {
    "cifar10": "cifar10.parquet, the Parquet files of huggingface.co/datasets/uoft-cs/cifar10, or the binary "
    "version (cifar-10-batches-bin) of https://www.cs.toronto.edu/~kriz/cifar.html",
    "celeba": "the folder with img_align_celeba/ and list_eval_partition.txt of "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
}


def read_source(data: Mapping[str, Any], folder: str | Path | None, cache_root: Path | None) -> RawImages:
    """Read the images that data.source names, decoded or from the cache.

    Raises FileNotFoundError or ValueError with the way out.
    """
    source = data["source"]
    if source == "digits":
        return digits()
    if source not in ("cifar10", "celeba", "images"):
        raise ValueError(f"data.source={source} is unknown; use digits, cifar10, celeba or images")
    place = Path(folder) if folder else data_folder()
    path = _locate(source, data.get("path"), place)
    note_reads([path], below=None if data.get("path") else place)
    if source == "cifar10" and path.is_dir() and not any(path.rglob("*.parquet")):
        return _binary_cifar10(path)
    raw = decoded_images(
        _listing(source, path, data.get("label_column")), _reading(data), cache_root, data["name"]
    )
    if source == "cifar10" and raw.images.shape[1:] != CIFAR_SHAPE:
        raise ValueError(
            f"{path}: images of shape {raw.images.shape[1:]}, but CIFAR-10's have {CIFAR_SHAPE}; "
            f"use data=images data.path={path}"
        )
    return raw


def digits() -> RawImages:
    """Load the 1,797 handwritten digits of 8x8 cells in scikit-learn (Alpaydin & Kaynak 1998).

    A cell is the number of inked pixels among sixteen, 0..16, scaled to 0..255 here.
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


def _locate(source: str, given: str | None, folder: Path) -> Path:
    """Return the file or folder that a source reads."""
    if given:
        path = Path(given).expanduser()
        if not path.exists():
            raise FileNotFoundError(f"data.path={path}: no such file or folder")
        return path
    places = [folder / name for name in PLACES.get(source, ())]
    if not places:
        raise ValueError(f"data={source} needs data.path=<folder of pictures>")
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise FileNotFoundError(
            f"data={source}: found no {' or '.join(map(str, places))}; put {ORIGINS[source]} into that "
            "folder or the one named by $TOPICLAB_DATA, or give data.path"
        )
    return path


def _listing(source: str, path: Path, label_column: Any) -> Listing:
    if source == "celeba":
        return celeba_listing(path, label_column)
    if source == "cifar10" or path.suffix.lower() == ".parquet":
        return parquet_listing(path)
    if not path.is_dir():
        raise ValueError(f"data.path={path} is neither a folder of pictures nor a .parquet file")
    return folder_listing(path)


def _reading(data: Mapping[str, Any]) -> Reading:
    size = data.get("size")
    return Reading(
        channels=data.get("channels"),
        crop=data.get("crop"),
        size=(size[0], size[1]) if size else None,
        skips_corrupt=data.get("on_corrupt") == "skip",
    )


def _binary_cifar10(folder: Path) -> RawImages:
    """Read CIFAR-10's binary version: records of one label byte and 3 x 32 x 32 bytes of pixels."""
    folder = folder / "cifar-10-batches-bin" if (folder / "cifar-10-batches-bin").is_dir() else folder
    tables = []
    for name in CIFAR_FILES:
        if not (path := folder / name).is_file():
            is_pickled = (folder / "data_batch_1").is_file()
            reason = (
                "; the Python version is pickled, and reading it would run the code in it"
                if is_pickled
                else ""
            )
            raise FileNotFoundError(f"{path}: no such file{reason}; give data.path of {ORIGINS['cifar10']}")
        content = np.fromfile(path, np.uint8)
        if len(content) % CIFAR_RECORD or content[::CIFAR_RECORD].max(initial=0) >= len(CIFAR_NAMES):
            raise ValueError(f"{path}: not records of a label 0..9 and 3,072 pixels; copy the file again")
        tables.append(content.reshape(-1, CIFAR_RECORD))
    records = np.concatenate(tables)
    images = np.ascontiguousarray(records[:, 1:]).reshape(-1, *CIFAR_SHAPE)
    num_test = len(tables[-1])
    num_train = len(records) - num_test
    ids = [f"train-{row:05d}" for row in range(num_train)] + [f"test-{row:05d}" for row in range(num_test)]
    return RawImages(
        ids=tuple(ids),
        images=images,
        digests=image_digests(images),
        labels=records[:, 0].astype(np.int64),
        label_names=CIFAR_NAMES,
        own_split=own_split(["train"] * num_train + ["test"] * num_test),
        info={"read": len(images), "skipped": 0, "flattened": 0},
    )
