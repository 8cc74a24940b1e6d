"""Metrics of image models besides those of topics: the prior, the codebook and the samples."""

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
    """Data of the metrics, from n test images of num_cells codes each and m samples (drawn images).

    nats: (n,) NLL of each grid under the prior, given the image's own topics.
    shuffled: (S, n) NLL given the topics of another test image, S times; subtracting `nats` of the same image
        cancels the difficulty of the image.
    unconditional: (n,) NLL without topics; None for a prior that was not trained without topics.
    squared_error: (n,) mean squared error of the reconstruction over pixels, on a scale of -1 to 1.
    usage, perplexity: share of the codes in use, and exp of their entropy, over all images.
    drawn_for, drawn_topic: (m,) topic that a sample was drawn for, and its strongest topic.
    drawn_label: (m,) label of the nearest training image; None if the images have no labels.
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
        """Mean NLL per code, in nats."""
        if nats is None:
            raise UndefinedMetric("the prior was not trained without topics; raise model.condition_dropout")
        return _mean(nats) / self.num_cells

    def gap(self) -> np.ndarray:
        """Increase of each image's NLL (n,) under another image's topics, in nats per code; mean over S."""
        if len(self.nats) < 2:
            raise UndefinedMetric("the gap to topics of another test image needs two test images")
        return (self.shuffled.mean(axis=0) - self.nats) / self.num_cells

    def against_labels(self, measure: Callable[[np.ndarray, np.ndarray], float]) -> float:
        if self.drawn_label is None:
            raise UndefinedMetric("the images have no labels")
        return measure(self.drawn_label, self.drawn_for)


def evaluate_images(evidence: ImageEvidence) -> Evaluation:
    """Evaluation by all IMAGE_METRICS."""
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
    """Random permutation (num_rows,) without fixed points, for num_rows >= 2."""
    order = np.random.default_rng(seed).permutation(num_rows)
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return other


def labels_of_nearest(
    drawn: np.ndarray, images: np.ndarray, labels: np.ndarray, block: int = 256
) -> np.ndarray:
    """Label (m,) of the labelled image nearest to each sample, by pixels; images are uint8."""
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
