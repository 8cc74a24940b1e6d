"""ImageTopics: a finished run on images, from Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.config.configuration import Configuration
from topiclab.device import resolve_device
from topiclab.models.codes.image_topics import ImageTopicModel
from topiclab.models.tvqvae_image import TVQVAEImage
from topiclab.nn.conv_autoencoder import ImageAutoencoder
from topiclab.pipeline.build import ImageSizes, build_model
from topiclab.pipeline.saved_model import AUTOENCODER, MODEL, check_words, load_arrays, load_facts
from topiclab.result import TopicResult
from topiclab.runs.outcome import Finished


@dataclass(frozen=True, eq=False)
class ImageTopics:
    """A finished run: its result over the images it was fitted on, its metrics, and the model for others."""

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, float | None]
    result: TopicResult
    label_names: tuple[str, ...]
    model: ImageTopicModel

    def topic_words(self, num: int = 10) -> list[list[str]]:
        """The num visual words (codes, or codes of a region) that describe each topic."""
        return self.result.topic_words(num)

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Topic proportions (B, K) of images (B, C, H, W) uint8; grey ones also as (B, H, W)."""
        return self.model.theta(self.model.grids(self._checked(images)))

    def sample(
        self,
        topic: int | None = None,
        num: int = 16,
        *,
        reference: np.ndarray | None = None,
        seed: int = 0,
        temperature: float | None = None,
    ) -> np.ndarray:
        """Draw images (num, C, H, W) uint8 of one topic, of a reference image's topics, or without topics.

        reference: (C, H, W) uint8, a grey one also (H, W).  temperature: of sampling; None is the run's.
        Raises ValueError for an unknown topic, for both a topic and a reference, and for neither of them if
        the prior was never trained without topics.
        """
        if topic is not None and reference is not None:
            raise ValueError("sample draws from a topic or like a reference; give one of the two")
        num_topics = self.result.num_topics
        if topic is not None and not 0 <= topic < num_topics:
            raise ValueError(f"topic={topic}, but this run has topics 0 to {num_topics - 1}")
        if topic is None and reference is None and not self.model.model.draws_without_topics:
            raise ValueError(
                "the prior of this run has always seen topics; give a topic or a reference, or fit with "
                "model.condition_dropout=0.1"
            )
        theta = None
        if topic is not None:
            theta = np.eye(num_topics, dtype=np.float32)[[topic] * num]
        elif reference is not None:
            theta = self.transform(np.asarray(reference)[None]).repeat(num, axis=0)
        return self.model.decode(self.model.draw(theta, num, seed, temperature))

    def _checked(self, images: np.ndarray) -> np.ndarray:
        """Images as the autoencoder takes them; ValueError names a type or shape that does not fit."""
        images, shape = np.asarray(images), self.model.image_shape
        if images.ndim == 3 and shape[0] == 1:
            images = images[:, None]
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise ValueError(
                f"images of {images.dtype} and shape {images.shape[1:]}, but this run reads uint8 of {shape}"
            )
        return images


def load_image_run(folder: Path, result: Finished, device: str) -> ImageTopics:
    """Load a run on images, `result` from its result.json; ValueError if something is missing or damaged."""
    cfg, facts = result["config"], load_facts(folder)
    height, width = facts["grid_shape"]
    sizes: ImageSizes = {
        "num_words": len(facts["vocab"]),
        "embedding_dim": facts["embedding_dim"],
        "num_classes": len(facts["label_names"]) if cfg["mode"]["name"] == "supervised" else 0,
        "grid_shape": (height, width),
    }
    model = build_model(Configuration.of(cfg), sizes)
    assert isinstance(model, TVQVAEImage)
    model.load_state(load_arrays(folder / MODEL))
    autoencoder = ImageAutoencoder(**facts["autoencoder"])
    autoencoder.load_state(load_arrays(folder / AUTOENCODER))
    autoencoder.to(place := resolve_device(device))
    channels, height, width = facts["image_shape"]
    fitted = ImageTopicModel(model.to(place), autoencoder, (channels, height, width))
    topics, names = TopicResult.load(folder / "topics.npz"), tuple(facts["label_names"])
    check_words(folder, facts["vocab"], topics)
    return ImageTopics(folder, cfg, result["metrics"], topics, names, fitted)
