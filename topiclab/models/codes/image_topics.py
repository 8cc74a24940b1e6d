"""ImageTopicModel: autoencoder and topic model combined, from pixels to topics and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topiclab.data.corpus import Corpus
from topiclab.data.images.image_set import ImageSet, code_corpus
from topiclab.models.tvqvae_image import TVQVAEImage
from topiclab.nn.conv_autoencoder import ImageAutoencoder

BATCH = 512


@dataclass(frozen=True, eq=False)
class ImageTopicModel:
    """A fitted topic model of code grids, with the autoencoder that makes the grids.

    image_shape: (C, H, W).
    """

    model: TVQVAEImage
    autoencoder: ImageAutoencoder
    image_shape: tuple[int, int, int]

    def grids(self, images: np.ndarray) -> np.ndarray:
        """Code grids (B, h, w) int64 of images (B, C, H, W) uint8."""
        return np.concatenate([self.autoencoder.encode(part) for part in _parts(images)])

    def restore(self, images: np.ndarray) -> np.ndarray:
        """Reconstructions (B, C, H, W) uint8 of images from their codes."""
        return self.decode(self.grids(images))

    def decode(self, grids: np.ndarray) -> np.ndarray:
        """Images (B, C, H, W) uint8 of code grids (B, h, w)."""
        return np.concatenate([self.autoencoder.decode(part) for part in _parts(grids)])

    def theta(self, grids: np.ndarray) -> np.ndarray:
        """Topic proportions (B, K) of code grids (B, h, w)."""
        corpus = self._corpus(grids)
        return self.model.transform(corpus.bow, grids.reshape(len(grids), -1).astype(np.float32))

    def draw(
        self, theta: np.ndarray | None, num: int, seed: int = 0, temperature: float | None = None
    ) -> np.ndarray:
        """Draw code grids (num, h, w): one per row of theta (num, K), or without topics if None."""
        return self.model.draw(theta, num, seed, temperature)

    def draw_topics(self, num: int, seed: int = 0, temperature: float | None = None) -> np.ndarray:
        """Draw num code grids for every topic (K * num, h, w), topic by topic."""
        theta = np.repeat(np.eye(self.model.num_topics, dtype=np.float32), num, axis=0)
        return self.draw(theta, len(theta), seed, temperature)

    def _corpus(self, grids: np.ndarray) -> Corpus:
        names = tuple(map(str, range(len(grids))))
        empty = np.zeros((len(grids), 1, 1, 1), np.uint8)
        images = ImageSet("images", names, empty, np.zeros(len(grids), np.int8))
        return code_corpus(images, grids, self.model.num_codes, self.model.region_kind)  # type: ignore[arg-type]


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    """Parts that fit into memory; at least one, possibly empty, so that zero rows give zero results."""
    return [rows[start : start + BATCH] for start in range(0, max(1, len(rows)), BATCH)]
