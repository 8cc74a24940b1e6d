"""Unfitted estimators from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypedDict

from topiclab.config.configuration import Configuration
from topiclab.config.instantiate import build
from topiclab.data.datamodule import TopicDataModule
from topiclab.models.base.estimator import Estimator


class Sizes(TypedDict):
    """Sizes of a model that its corpus decides."""

    num_words: int
    embedding_dim: int
    num_classes: int


class ImageSizes(Sizes):
    """Sizes of a model of images; grid_shape: codes of an image, (h, w)."""

    grid_shape: tuple[int, int]


def make_model(cfg: Configuration, datamodule: TopicDataModule) -> Estimator:
    sizes: Sizes = {
        "num_words": datamodule.corpus.num_words,
        "embedding_dim": datamodule.embedding_dim,
        "num_classes": datamodule.num_classes,
    }
    return build_model(cfg, sizes)


def build_model(cfg: Configuration, sizes: Sizes) -> Estimator:
    """The unfitted estimator of a configuration."""
    node = dict(cfg.model)
    if cfg.trainer.max_epochs is not None:
        node |= {"min_steps": 0} if "min_steps" in node else {}
    for name in ("max_epochs", "batch_size", "gradient_clip"):
        if (given := getattr(cfg.trainer, name)) is not None and name in node:
            node[name] = given
    return build(
        node,
        num_topics=cfg.num_topics,
        seed=cfg.seed,
        objective=build(cfg.objective),
        class_weight=cfg.mode["class_weight"],
        **sizes,
    )


def with_num_topics(cfg: Configuration, manifest: Mapping[str, Any]) -> Configuration:
    """The configuration with the number of topics that num_topics=auto chose, according to the manifest."""
    return replace(cfg, num_topics=manifest["select_k"]["num_topics"]) if "select_k" in manifest else cfg
