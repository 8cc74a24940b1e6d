"""What a model of images is judged by beside its topics: its prior, its codebook and what it draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from topiclab.metrics.clustering import normalized_mutual_information, purity
from topiclab.metrics.evaluate import IMAGE_METRICS, Measure, take
from topiclab.metrics.evaluation import Evaluation
from topiclab.metrics.undefined import UndefinedMetric


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """What the metrics are taken from, over n test images of num_cells codes and m drawn images.

    nats: (n,) of each grid under the prior with the image's own topics.
    shuffled: (S, n) with the topics of another test image, S times; `nats` of the same image beside it, so
        that what makes an image hard cancels.
    unconditional: (n,) without topics; None for a prior that never drew without.
    squared_error: (n,) mean over an image's pixels, on a scale of -1 to 1, of its reconstruction.
    usage, perplexity: share of the codes in use, and exp of their entropy, over all images.
    drawn_for, drawn_topic: (m,) topic that an image was drawn for, and its own main topic.
    drawn_label: (m,) label of the nearest training image; None where none has a label.
    """

    num_cells: int
    nats: np.ndarray
    shuffled: np.ndarray
    unconditional: np.ndarray | None
    squared_error: np.ndarray
    usage: float
    perplexity: float
    drawn_for: np.ndarray
    drawn_topic: np.ndarray
    drawn_label: np.ndarray | None

    def per_code(self, nats: np.ndarray | None) -> float:
        """Mean nats of a code."""
        if nats is None:
            raise UndefinedMetric("the prior was never shown images without topics; raise condition_dropout")
        return _mean(nats) / self.num_cells

    def gap(self) -> np.ndarray:
        """Nats per code (n,) that another image's topics cost each image, the mean over S of them."""
        if len(self.nats) < 2:
            raise UndefinedMetric("topics of another test image need two test images")
        return (self.shuffled.mean(axis=0) - self.nats) / self.num_cells

    def against_labels(self, measure: Callable[[np.ndarray, np.ndarray], float]) -> float:
        if self.drawn_label is None:
            raise UndefinedMetric("the images have no labels")
        return measure(self.drawn_label, self.drawn_for)


def evaluate_images(evidence: ImageEvidence) -> Evaluation:
    """The values of all IMAGE_METRICS."""
    measures: tuple[Measure, ...] = (
        lambda: evidence.per_code(evidence.nats),
        lambda: float(evidence.gap().mean()) + evidence.per_code(evidence.nats),
        lambda: evidence.per_code(evidence.unconditional),
        lambda: float(evidence.gap().mean()),
        lambda: float(evidence.gap().std(ddof=1) / math.sqrt(len(evidence.nats))),
        lambda: evidence.per_code(evidence.nats) / math.log(2),
        lambda: _mean(evidence.squared_error),
        lambda: evidence.usage,
        lambda: evidence.perplexity,
        lambda: _mean(evidence.drawn_topic == evidence.drawn_for),
        partial(evidence.against_labels, purity),
        partial(evidence.against_labels, normalized_mutual_information),
    )
    return take(dict(zip(IMAGE_METRICS, measures, strict=True)))


def another_row(num_rows: int, seed: int) -> np.ndarray:
    """For each of num_rows >= 2 rows another one, at random; no row is its own, each is taken once."""
    order = np.random.default_rng(seed).permutation(num_rows)
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return other


def labels_of_nearest(
    drawn: np.ndarray, images: np.ndarray, labels: np.ndarray, block: int = 256
) -> np.ndarray:
    """Label (m,) of the labelled image whose pixels are nearest to each drawn one; images are uint8."""
    known = np.flatnonzero(labels >= 0)
    table = images[known].reshape(len(known), -1).astype(np.float32)
    squares = np.square(table).sum(axis=1)
    flat = drawn.reshape(len(drawn), -1).astype(np.float32)
    starts = range(0, len(flat), block)
    nearest = [(squares - 2 * flat[start : start + block] @ table.T).argmin(axis=1) for start in starts]
    return labels[known][np.concatenate(nearest)]


def _mean(values: np.ndarray) -> float:
    if not len(values):
        raise UndefinedMetric("the split has no documents")
    return float(values.mean())
