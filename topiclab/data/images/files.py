"""Image files: one picture decoded from its bytes and checked, or many decoded in threads to one array."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from topiclab.machine import memory_bytes, num_cores

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MAX_PIXELS = 64_000_000  # more than today's cameras produce; a small file can unpack to far more
GREY, COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
CHANNEL_NAMES = {1: "grey", 3: "colour"}
ORIENTATION = 0x0112  # EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BLOCK = 128  # pictures that a thread decodes at a time
NAMED_SKIPS = 20


class CorruptImageError(ValueError):
    """Raised for bytes from which no picture can be decoded."""


@dataclass(frozen=True)
class Reading:
    """Options for reading pictures.

    channels: 1, 3, or None for those of the file.
    crop: side of the square cut from the centre first, or None.
    size: (height, width): the result is centre-cropped to this aspect ratio and resized; None keeps it.
    skips_corrupt: skip what cannot be decoded instead of raising an error.
    """

    channels: int | None = None
    crop: int | None = None
    size: tuple[int, int] | None = None
    skips_corrupt: bool = False


@dataclass(frozen=True, eq=False)
class Decoded:
    """Decoded pictures.

    images: (n, C, H, W) uint8.  rows: (n,) int64, those that could be decoded.  info: what was done to them.
    """

    images: np.ndarray
    rows: np.ndarray
    info: dict[str, Any]


def decode(content: bytes, name: str, reading: Reading) -> tuple[np.ndarray, bool]:
    """Decode a picture to (C, H, W) uint8; also return True if transparent parts were composited on white.

    Palettes become their colours; a photograph is rotated according to its EXIF orientation. Raises
    CorruptImageError for bytes that are not a picture, ValueError for several frames, more than 8 bits per
    channel or too many pixels.
    """
    with _named_faults(name):
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    _check_kind(image, name)
    with _named_faults(name):
        image.load()
        if "exif" in image.info:
            image = _upright(image)
    image, is_flattened = _opaque(image)
    is_grey = image.mode in GREY if reading.channels is None else reading.channels == 1
    image = image.convert("L" if is_grey else "RGB")
    if reading.crop is not None:
        image = _cut(image, reading.crop, name)
    if reading.size is not None and image.size != reading.size[::-1]:
        height, width = reading.size
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return (pixels[None] if is_grey else pixels.transpose(2, 0, 1)), is_flattened


def decode_all(names: Sequence[str], read: Callable[[int], bytes], reading: Reading) -> Decoded:
    """Decode every picture in order; read(row) returns the bytes of names[row].

    Raises ValueError for pictures that differ in size or channels, for one that cannot be decoded (unless
    skipped), and if none is left.
    """
    images, rows, flattened = np.empty((0,), np.uint8), np.zeros(len(names), np.int64), 0
    skipped: list[str] = []
    count = 0
    for row, outcome in enumerate(_outcomes(names, read, reading)):
        if isinstance(outcome, CorruptImageError):
            skipped.append(names[row])
            continue
        pixels, is_flattened = outcome
        if not count:
            images = _room(len(names), pixels.shape)
        elif pixels.shape != images.shape[1:]:
            raise ValueError(_difference(names[int(rows[0])], images.shape[1:], names[row], pixels.shape))
        images[count], rows[count] = pixels, row
        flattened += is_flattened
        count += 1
    if not count:
        raise ValueError(
            f"none of the {len(names)} pictures can be decoded, the first is {names[0]}; check data.path"
        )
    info: dict[str, Any] = {"read": len(names), "skipped": len(skipped), "flattened": flattened}
    if skipped:
        info["skipped_names"] = skipped[:NAMED_SKIPS]
    return Decoded(images[:count], rows[:count], info)


def _room(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Allocate (count, C, H, W) uint8; raise ValueError if it needs over half of the machine's memory."""
    needed, height, width = count * math.prod(shape), *shape[1:]
    if needed > memory_bytes() / 2:
        raise ValueError(
            f"{count} pictures of {height} x {width} pixels take {needed / 2**30:.0f} GiB, more than half of "
            "this machine's memory; data.size=[64,64] makes them smaller"
        )
    return np.empty((count, *shape), np.uint8)


def _outcomes(
    names: Sequence[str], read: Callable[[int], bytes], reading: Reading
) -> Iterator[tuple[np.ndarray, bool] | CorruptImageError]:
    def decode_block(start: int) -> list[tuple[np.ndarray, bool] | CorruptImageError]:
        found: list[tuple[np.ndarray, bool] | CorruptImageError] = []
        for row in range(start, min(start + BLOCK, len(names))):
            try:
                found.append(decode(read(row), names[row], reading))
            except CorruptImageError as fault:
                if not reading.skips_corrupt:
                    raise CorruptImageError(
                        f"{fault}, or leave such files out with data.on_corrupt=skip"
                    ) from fault
                found.append(fault)
        return found

    threads = ThreadPoolExecutor(num_cores())
    try:
        for block in threads.map(decode_block, range(0, len(names), BLOCK)):
            yield from block
    finally:
        threads.shutdown(cancel_futures=True)  # after an error, blocks that have not begun are dropped


@contextmanager
def _named_faults(name: str) -> Iterator[None]:
    """Convert Pillow's errors to messages of one sentence with the file's name."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        number = re.search(r"\d+", str(error))
        raise ValueError(f"{name}: {_too_many_pixels(number.group() if number else 'too many')}") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        reason = str(error).split(" <_io")[0]
        raise CorruptImageError(
            f"{name}: no {', '.join(FORMATS)} picture can be decoded from it ({reason}); copy or remove the "
            "file"
        ) from error


def _check_kind(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name}: {_too_many_pixels(f'{width} x {height}')}")
    # MPO: a photograph with its preview
    if getattr(image, "is_animated", False) and image.format != "MPO":
        frames = getattr(image, "n_frames", 2)
        raise ValueError(f"{name} is an animation of {frames} frames; save one of them as a picture")
    if image.mode not in GREY + COLOUR:
        raise ValueError(
            f"{name} holds pixels of mode {image.mode}, which are not 8 bits of grey or colour; "
            "save it with 8 bits a channel"
        )


def _too_many_pixels(found: str) -> str:
    return f"{found} pixels, more than the {MAX_PIXELS:,} allowed; make the picture smaller first"


def _upright(image: Image.Image) -> Image.Image:
    """Rotate an image by its EXIF orientation; the other EXIF data may be broken."""
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _opaque(image: Image.Image) -> tuple[Image.Image, bool]:
    """Composite an image on white without its alpha channel; also return True if any of it is transparent."""
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return image, False
    is_grey = image.mode in GREY
    image = image.convert("LA" if is_grey else "RGBA")
    alpha = image.getchannel("A")
    lowest: Any = alpha.getextrema()[0]
    image = image.convert("L" if is_grey else "RGB")
    if lowest == 255:
        return image, False
    white = Image.new(image.mode, image.size, "white")
    return Image.composite(image, white, alpha), True


def _cut(image: Image.Image, side: int, name: str) -> Image.Image:
    """Crop the square of `side` pixels at the centre."""
    width, height = image.size
    if side > min(width, height):
        raise ValueError(
            f"data.crop={side}, but {name} is {height} x {width} pixels; lower data.crop, or give larger "
            "pictures"
        )
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.crop((left, top, left + side, top + side))


def _difference(first: str, expected: tuple[int, ...], second: str, found: tuple[int, ...]) -> str:
    if expected[0] != found[0]:
        return (
            f"{first} is {CHANNEL_NAMES[expected[0]]}, but {second} is {CHANNEL_NAMES[found[0]]}; "
            "data.channels=3 reads all as colour, data.channels=1 as grey"
        )
    return (
        f"{first} is {expected[1]} x {expected[2]} pixels (height x width), but {second} is "
        f"{found[1]} x {found[2]}; data.size=[{expected[1]},{expected[2]}] makes all alike"
    )
