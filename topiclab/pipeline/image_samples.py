"""Samples of a fitted model of images, and their pictures in the run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from topiclab.data.images.image_set import ImageSet
from topiclab.models.codes.image_topics import ImageTopicModel
from topiclab.models.tvqvae_image import SampleOptions
from topiclab.report.figures.pictures import (
    draw_codebook_usage,
    draw_reconstructions,
    draw_references,
    draw_samples,
    draw_topics,
)

ORIGINALS = 32  # images beside their reconstructions
EXAMPLES = 6  # images beside the samples of a topic


@dataclass(frozen=True, eq=False)
class ImageSamples:
    """Images (.., C, H, W) uint8: n samples of each of K topics, s of each of r references.

    by_topic: (K, n, ...) drawn from one topic each.  topic_theta: (K, n, K) their topic proportions.
    references: (r, ...) held-out images.  by_reference: (r, s, ...) drawn from the topics of each.
    originals, restored: (o, ...) held-out images and their reconstructions from the codes.
    unconditional: (u, ...) drawn without topics; None for a prior that was never trained without.
    """

    by_topic: np.ndarray
    topic_theta: np.ndarray
    references: np.ndarray
    by_reference: np.ndarray
    originals: np.ndarray
    restored: np.ndarray
    unconditional: np.ndarray | None


def draw_image_samples(
    fitted: ImageTopicModel, images: ImageSet, theta: np.ndarray, sample: SampleOptions, seed: int
) -> ImageSamples:
    """Draw the samples of a fitted model.  theta: (D, K) of all images.  sample: cfg.model.sample."""
    num_topics, num = theta.shape[1], sample["num_per_topic"]
    grids = fitted.draw_topics(num, seed)
    rows = held_out_rows(images, sample["num_references"], seed)
    originals = images.images[held_out_rows(images, ORIGINALS, seed)]
    is_unconditional = fitted.model.draws_without_topics
    return ImageSamples(
        by_topic=_of(num_topics, fitted.decode(grids)),
        topic_theta=_of(num_topics, fitted.theta(grids)),
        references=images.images[rows],
        by_reference=draw_like(fitted, theta[rows], sample["num_per_reference"], seed + 1),
        originals=originals,
        restored=fitted.restore(originals),
        unconditional=fitted.decode(fitted.draw(None, num, seed + 2)) if is_unconditional else None,
    )


def draw_like(fitted: ImageTopicModel, theta: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Draw num images for each row of theta (r, K): (r, num, C, H, W)."""
    return _of(len(theta), fitted.decode(fitted.draw(theta.repeat(num, axis=0), num * len(theta), seed)))


def held_out_rows(images: ImageSet, num: int, seed: int) -> np.ndarray:
    """Rows of at most num random held-out images, ascending; of training images if none is held out."""
    rows = next(rows for split in ("test", "val", "train") if len(rows := images.rows(split)))
    return np.sort(np.random.default_rng(seed).permutation(rows)[:num])


def draw_pictures(
    samples: ImageSamples, images: ImageSet, theta: np.ndarray, usage: np.ndarray, folder: Path
) -> list[Path]:
    """Write the PNG files of a run folder; theta: (D, K) of all images, usage: (N,) counts of the codes."""
    topics = {
        "examples": images.images[most_typical(theta, EXAMPLES)],
        "captions": label_captions(images, theta),
    }
    pictures = [
        draw_topics(samples.by_topic, theta.mean(axis=0), folder, **topics),
        draw_references(samples.references, samples.by_reference, folder),
        draw_reconstructions(samples.originals, samples.restored, folder),
        draw_codebook_usage(usage, folder),
    ]
    if samples.unconditional is not None:
        pictures.append(draw_samples(samples.unconditional, folder, "unconditional"))
    return pictures


def most_typical(theta: np.ndarray, num: int) -> np.ndarray:
    """Rows (K, num) of the images with the most of each topic; fewer columns if there are fewer images."""
    return np.argsort(-theta, axis=0, kind="stable")[:num].T


def label_captions(images: ImageSet, theta: np.ndarray) -> list[str]:
    """'name 87%' for each topic: the most frequent label of images with this main topic; '-' without one."""
    return [_most_frequent(images, theta.argmax(axis=1) == topic) for topic in range(theta.shape[1])]


def _most_frequent(images: ImageSet, is_chosen: np.ndarray) -> str:
    if images.labels is None or not len(labels := images.labels[is_chosen & (images.labels >= 0)]):
        return "-"
    counts = np.bincount(labels)
    return f"{images.label_names[counts.argmax()]} {counts.max() / len(labels):.0%}"


def _of(count: int, rows: np.ndarray) -> np.ndarray:
    return rows.reshape(count, -1, *rows.shape[1:])
