"""Listings: the pictures of a folder, CelebA or Parquet files, with labels and split, before decoding."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topiclab.data.corpus import SPLITS
from topiclab.data.images.files import SUFFIXES

if TYPE_CHECKING:
    import pyarrow

# Names that published sets give to their splits, as folders and files.
PARTS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}
IMAGE_COLUMNS, FACT_COLUMNS = ("image", "img"), ("label", "label_name", "split")
ATTRIBUTES, PARTITION, CELEBA_FOLDER = "list_attr_celeba", "list_eval_partition", "img_align_celeba"


@dataclass(frozen=True, eq=False)
class Listing:
    """Encoded pictures of a source; ids, labels and parts have one entry per picture.

    ids: distinct names.  open: returns a thread-safe function from a row to the bytes of its picture.
    stamps: (name, bytes, time in ns) of the files, part of the cache key of the decoded pictures.
    labels: None if a picture has none.
    parts: `train`, `val` or `test` as published; None for a set without a published split.
    """

    ids: Sequence[str]
    open: Callable[[], Callable[[int], bytes]]
    stamps: Sequence[tuple[str, int, int]]
    labels: Sequence[str | None]
    parts: Sequence[str] | None = None


def folder_listing(folder: Path) -> Listing:
    """List every picture below a folder; its label is its folder, and pictures at the top have none.

    If the top holds only folders named train, val or test, these are the published split.
    """
    files = picture_files(folder)
    places = [path.relative_to(folder).parts for path in files]
    parts = None
    if all(len(place) > 1 and place[0].lower() in PARTS for place in places):
        parts = [PARTS[place[0].lower()] for place in places]
    labels = ["/".join(place[0 if parts is None else 1 : -1]) or None for place in places]
    return Listing(
        ids=["/".join(place) for place in places],
        open=lambda: lambda row: files[row].read_bytes(),
        stamps=_stamps(folder, files),
        labels=labels,
        parts=parts,
    )


def picture_files(folder: Path) -> list[Path]:
    """Pictures in a folder and below, sorted by relative path; hidden ones are left out.

    Raises FileNotFoundError if there is none.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = (name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        found += [Path(place, name) for name in shown]
    if not found:
        raise FileNotFoundError(
            f"{folder}: no picture ({' '.join(SUFFIXES)}) in it or below; check data.path"
        )
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def celeba_listing(folder: Path, label_column: str | None) -> Listing:
    """List CelebA (Liu et al. 2015) as published: aligned pictures, split, and labels by one attribute."""
    pictures = next((path for path in (folder / CELEBA_FOLDER, folder) if path.is_dir()), folder)
    if (pictures / CELEBA_FOLDER).is_dir():  # one folder deeper in some archives
        pictures /= CELEBA_FOLDER
    _, division = _celeba_table(folder, PARTITION)
    names = list(division)
    labels: list[str | None] = [None] * len(names)
    if label_column is not None:
        columns, attributes = _celeba_table(folder, ATTRIBUTES)
        if label_column not in columns:
            raise ValueError(
                f"data.label_column={label_column} is unknown; CelebA's attributes are {', '.join(columns)}"
            )
        column = columns.index(label_column)
        words = {"1": label_column, "-1": f"not {label_column}", "0": f"not {label_column}"}
        labels = [words[attributes[name][column]] if name in attributes else None for name in names]
    files = [pictures / name for name in names]
    if missing := [path for path in files if not path.is_file()]:
        raise FileNotFoundError(
            f"{missing[0]}: no such file, and {len(missing) - 1} others of {PARTITION} are missing; unpack "
            f"all of {CELEBA_FOLDER}.zip, or read a part of it with data=images data.path={pictures}"
        )
    return Listing(
        ids=names,
        open=lambda: lambda row: files[row].read_bytes(),
        stamps=_stamps(pictures, files),
        labels=labels,
        parts=[SPLITS[int(division[name][0])] for name in names],
    )


def parquet_listing(path: Path) -> Listing:
    """List pictures of a Parquet file or folder: a column `image` or `img` of bytes or of {bytes, path}.

    Optional columns: label (numbers, named by label_name or by the schema as on the Hugging Face hub); split
    (else the file's name begins with train, validation or test).
    """
    from pyarrow import parquet

    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    labels: list[str | None] = []
    parts: list[str | None] = []
    for file in files:
        names = _columns(file)
        table = parquet.read_table(file, columns=[name for name in FACT_COLUMNS if name in names])
        labels += _labels(table)
        parts += _parts(table, file)
    count: dict[str | None, int] = {}
    ids = []
    for part in parts:  # numbered within each part, so that ids do not depend on the other parts
        count[part] = count.get(part, -1) + 1
        ids.append(f"{part}-{count[part]:05d}" if part else f"{count[part]:05d}")
    is_divided = None not in parts
    return Listing(
        ids=ids,
        open=lambda: [scalar for file in files for scalar in _pictures(file)].__getitem__,
        stamps=_stamps(path if path.is_dir() else path.parent, files),
        labels=labels,
        parts=[part for part in parts if part is not None] if is_divided else None,
    )


def _columns(file: Path) -> list[str]:
    """Names of a Parquet file's columns."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_schema(file).names
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{file}: not a Parquet file ({error}); check data.path") from error


def _pictures(file: Path) -> list[bytes]:
    """The bytes of each row's picture."""
    from pyarrow import compute, parquet, types

    names = _columns(file)
    column = next((name for name in IMAGE_COLUMNS if name in names), None)
    if column is None:
        raise ValueError(
            f"{file}: no column {' or '.join(IMAGE_COLUMNS)}; the columns are {', '.join(names)}"
        )
    chunks: Any = parquet.read_table(file, columns=[column])[column]
    if types.is_struct(chunks.type) and chunks.type.get_field_index("bytes") >= 0:
        chunks = compute.struct_field(chunks, "bytes")  # type: ignore[attr-defined]
    if not (types.is_binary(chunks.type) or types.is_large_binary(chunks.type)) or chunks.null_count:
        raise ValueError(
            f"{file}: column {column} holds {chunks.type} with {chunks.null_count} missing values, but must "
            "hold the bytes of a picture in every row"
        )
    return chunks.to_pylist()


def _labels(table: pyarrow.Table) -> list[str | None]:
    """Label name of each row: label_name, else label by the names in the schema, else label itself."""
    if "label_name" in table.column_names:
        return table["label_name"].to_pylist()
    if "label" not in table.column_names:
        return [None] * table.num_rows
    hub = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = hub.get("info", {}).get("features", {}).get("label", {}).get("names")
    values = table["label"].to_pylist()
    if names is None:
        return [None if value is None else str(value) for value in values]
    return [None if value is None or value < 0 else names[value] for value in values]


def _parts(table: pyarrow.Table, file: Path) -> list[str | None]:
    """Part of each row by the column `split`, else by the beginning of the file's name."""
    if "split" in table.column_names:
        return [PARTS.get(str(value).lower()) for value in table["split"].to_pylist()]
    return [PARTS.get(file.stem.split("-")[0].lower())] * table.num_rows


def _celeba_table(folder: Path, stem: str) -> tuple[list[str], dict[str, list[str]]]:
    """Column names, and the values by file name, of a table as published (.txt) or as .csv."""
    path = next((path for suffix in ("txt", "csv") if (path := folder / f"{stem}.{suffix}").is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder / stem}.txt: no such file; download it, as it is published next to the pictures"
        )
    columns: list[str] = []
    rows: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *values = line.replace(",", " ").split() or [""]
        if name.lower().endswith(SUFFIXES):
            rows[name] = values
        elif values:
            columns = values if path.suffix == ".csv" else [name, *values]
    return columns, rows


def _stamps(folder: Path, files: Sequence[Path]) -> list[tuple[str, int, int]]:
    stats = [path.stat() for path in files]
    names = [path.relative_to(folder).as_posix() for path in files]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in zip(names, stats, strict=True)]
