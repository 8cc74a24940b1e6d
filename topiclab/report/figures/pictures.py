"""Pictures of an image model as PNG: grids of samples, references and reconstructions.

Images are (..., C, H, W) uint8 with one or three channels; small ones are enlarged by integer factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from topiclab.report.figures.base import new_axes, save_figure
from topiclab.report.figures.fonts import families_for, file_for

CELL = 48  # minimum pixels of a cell's shorter side
GAP, GROUP_GAP, MARGIN, LINE, TEXT = 3, 16, 12, 20, 14
SHADE = 160  # of the gaps: white strokes that end at an edge must not run into the next image
MAX_IN_A_ROW, MAX_CELLS = 16, 64
INK = (40, 40, 40)


@dataclass(frozen=True, eq=False)
class Block:
    """A heading over the same number of images in every row: images (rows, n, C, H, W)."""

    heading: str
    images: np.ndarray


def draw_topics(
    by_topic: np.ndarray,
    shares: np.ndarray,
    folder: Path,
    *,
    examples: np.ndarray | None = None,
    captions: Sequence[str] = (),
) -> Path:
    """Write topics.png: one row per topic with its number and share, the largest first.

    by_topic: (K, n, C, H, W) samples of each topic.  shares: (K,) mean proportions.
    examples: (K, m, C, H, W) images of the set with the most of each topic.  captions: one line per topic.
    """
    order = np.argsort(-shares, kind="stable")
    labels = [f"topic {topic}  {shares[topic]:.1%}" for topic in order]
    if captions:
        labels = [f"{label}\n{captions[topic]}" for label, topic in zip(labels, order, strict=True)]
    blocks = [] if examples is None else [Block("images with most of it", examples[order])]
    blocks.append(Block("drawn from it", by_topic[order]))
    return _save(_sheet(blocks, labels), folder / "topics.png")


def draw_references(
    references: np.ndarray, drawn: np.ndarray, folder: Path, captions: Sequence[str] = ()
) -> Path:
    """Write references.png: one row per reference image, beside samples drawn from its topics.

    references: (r, C, H, W).  drawn: (r, n, C, H, W).
    """
    blocks = [Block("reference", references[:, None]), Block("drawn from its topics", drawn)]
    return _save(_sheet(blocks, captions), folder / "references.png")


def draw_reconstructions(originals: np.ndarray, restored: np.ndarray, folder: Path) -> Path:
    """Write reconstructions.png: each image and, to its right, its reconstruction; both (n, C, H, W)."""
    pairs = _in_rows(np.stack([originals, restored], axis=1)[:MAX_CELLS], MAX_IN_A_ROW // 2)
    blocks = [Block("given, restored" if not at else "", pairs[:, at]) for at in range(pairs.shape[1])]
    return _save(_sheet(blocks), folder / "reconstructions.png")


def draw_samples(images: np.ndarray, folder: Path, name: str = "samples") -> Path:
    """Write <name>.png: a plain grid of images (n, C, H, W)."""
    return _save(_sheet([Block("", _in_rows(images[:MAX_CELLS], MAX_IN_A_ROW))]), folder / f"{name}.png")


def draw_codebook_usage(counts: np.ndarray, folder: Path) -> Path:
    """Write codebook_usage.png: frequencies of the N codes, the most frequent first.

    counts: (N,). The dashed line is the frequency if all codes occurred equally often.
    """
    share = counts / max(1, counts.sum())
    used = share[share > 0]
    perplexity = math.exp(-float((used * np.log(used)).sum()))
    figure, axes = new_axes((9, 3.5))
    axes.bar(np.arange(len(share)), np.sort(share)[::-1], width=1.0, color="C0")
    axes.axhline(1 / len(share), linestyle="--", linewidth=1, color="0.4")
    axes.set(
        xlabel="codes, the most frequent first",
        ylabel="share of the cells",
        xlim=(-0.5, len(share) - 0.5),
        title=f"{len(used)} of {len(share)} codes in use, perplexity {perplexity:.1f}",
    )
    return save_figure(figure, folder / "codebook_usage.png")


def _sheet(blocks: Sequence[Block], labels: Sequence[str] = ()) -> Image.Image:
    """Draw blocks side by side under their headings, with each row's label on the left."""
    font = _font([*labels, *(block.heading for block in blocks)])
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    tiles = [_tiles(block.images[:, :MAX_IN_A_ROW]) for block in blocks]
    widths = [
        max(tile.width, math.ceil(pen.textlength(block.heading, font)))
        for tile, block in zip(tiles, blocks, strict=True)
    ]
    label_width = max(
        (math.ceil(pen.multiline_textbbox((0, 0), label, font)[2]) for label in labels), default=0
    )
    left = MARGIN + (label_width + GROUP_GAP if labels else 0)
    top = MARGIN + (LINE if any(block.heading for block in blocks) else 0)
    width = left + sum(widths) + GROUP_GAP * (len(blocks) - 1) + MARGIN
    sheet = Image.new("RGB", (width, top + tiles[0].height + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    step = (tiles[0].height + GAP) / len(blocks[0].images)
    for row, label in enumerate(labels):
        pen.multiline_text((MARGIN, top + (row + 0.5) * step - GAP), label, INK, font, anchor="lm")
    for tile, block, taken in zip(tiles, blocks, widths, strict=True):
        pen.text((left, top - LINE), block.heading, INK, font)
        sheet.paste(tile, (left, top))
        left += taken + GROUP_GAP
    return sheet


def _font(texts: Sequence[str]) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font, or for other than ASCII characters the one of this machine that has most of them."""
    if all(text.isascii() for text in texts):
        return ImageFont.load_default(TEXT)
    families_for(texts)  # tells of a script without font
    return ImageFont.truetype(file_for(texts), TEXT)


def _tiles(images: np.ndarray) -> Image.Image:
    """Join images (rows, n, C, H, W) to one picture with gaps between them."""
    rows, num, channels, height, width = images.shape
    zoom = max(1, math.ceil(CELL / min(height, width)))
    cells = np.pad(
        images.repeat(zoom, axis=3).repeat(zoom, axis=4),
        ((0, 0), (0, 0), (0, 0), (0, GAP), (0, GAP)),
        constant_values=SHADE,
    )
    tall, wide = rows * cells.shape[3], num * cells.shape[4]
    joined = cells.transpose(0, 3, 1, 4, 2).reshape(tall, wide, channels)[:-GAP, :-GAP]
    return Image.fromarray(np.broadcast_to(joined, (*joined.shape[:2], 3)).copy())


def _in_rows(cells: np.ndarray, max_columns: int) -> np.ndarray:
    """Arrange (n, ...) as a square (rows, columns, ...) of at most max_columns, filled up with white."""
    columns = min(max_columns, math.ceil(math.sqrt(len(cells))))
    white = np.full((-len(cells) % columns, *cells.shape[1:]), 255, cells.dtype)
    return np.concatenate([cells, white]).reshape(-1, columns, *cells.shape[1:])


def _save(sheet: Image.Image, path: Path) -> Path:
    sheet.save(path)
    return path
