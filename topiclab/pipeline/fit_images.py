"""task=fit on images: codebook, topics over its codes, a prior to sample from, metrics and pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.atomic import finite, write_json
from topiclab.cache import key_hash
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.images.image_set import ImageSet, code_corpus, load_images
from topiclab.device import resolve_device
from topiclab.metrics.evaluate import evaluate
from topiclab.metrics.images import ImageEvidence, another_row, evaluate_images, labels_of_nearest
from topiclab.models.codes.image_codes import ImageCodebook, ImageCodes, image_codes
from topiclab.models.codes.image_topics import ImageTopicModel
from topiclab.models.tvqvae_image import TVQVAEImage
from topiclab.pipeline.build import ImageSizes, build_model
from topiclab.pipeline.image_samples import ImageSamples, draw_image_samples, draw_pictures, label_captions
from topiclab.pipeline.inputs import asked_metrics
from topiclab.pipeline.outputs import (
    predict_labels,
    show,
    write_history,
    write_predictions,
)
from topiclab.pipeline.saved_model import save_image_model
from topiclab.pipeline.stages import Stages, limited_threads
from topiclab.pipeline.wandb_log import log_curve, log_results, loggers_of, wandb_logger
from topiclab.result import TopicResult
from topiclab.runs.outcome import Outcome

log = logging.getLogger(__name__)

SHUFFLES = 5  # draws of another image's topics
MAX_TESTED = 2000  # randomly chosen test images on which the prior is evaluated
MAX_NEIGHBOURS = 10_000  # training images searched for the nearest one of a sample


def fit_images(cfg: Configuration, folder: Path) -> Outcome:
    """Fit images -> codes -> topics and prior -> metrics and pictures in the run folder."""
    clock = Stages()
    cache = cfg.paths.cache
    with clock("load"):
        images = load_images(cfg.data, cfg.paths.data, cache)
        check_images(cfg, images)
    with clock("codebook"):
        codes = learned_codes(cfg, images)
    corpus = code_corpus(images, codes.grid, cfg.model["num_codes"], cfg.model["regions"])
    datamodule = grid_datamodule(cfg, corpus, codes)
    model = make_image_model(cfg, datamodule, codes.grid.shape[1:])
    with limited_threads(cfg.trainer.num_threads), wandb_logger(cfg, folder) as wandb_run:
        log_curve(wandb_run, "codebook", codes.codebook.facts["history"], "epoch")
        with clock("fit"):
            fitted_result = model.fit(datamodule, folder, cfg.trainer, loggers_of(wandb_run))
            result = replace(fitted_result, ids=corpus.ids)
        model.to(resolve_device(cfg.trainer.device))
        _, channels, height, width = images.images.shape
        fitted = ImageTopicModel(model, codes.autoencoder, (channels, height, width))
        with clock("draw"):
            samples = draw_image_samples(fitted, images, result.theta, cfg.model["sample"], cfg.seed)
        with clock("evaluate"):
            predictions = predict_labels(model, datamodule)
            asked = asked_metrics(cfg, datamodule)
            of_topics = evaluate(result, corpus, cache_root=cache, predictions=predictions, **asked)
            evaluation = evaluate_images(image_evidence(fitted, images, codes, result, samples)) | of_topics
        with clock("write"):
            write_image_topics(result, label_captions(images, result.theta), folder)
            write_json(folder / "topic_metrics.json", finite(evaluation.per_topic))
            if cfg.logger["name"] != "none":
                write_history(model.history, folder / "metrics.csv")
            if predictions is not None:
                write_predictions(corpus, predictions, folder / "predictions.csv")
            save_image_model(folder, fitted, corpus)
            result.save(folder / "topics.npz")
            usage = np.bincount(codes.grid.ravel(), minlength=len(codes.codebook.vectors))
            pictures = draw_pictures(samples, images, result.theta, usage, folder)
            log_results(wandb_run, result, corpus, evaluation, folder, pictures)
    show(folder, evaluation.metrics)
    return Outcome(
        metrics=evaluation.metrics,
        reasons=evaluation.reasons,
        seconds=clock.seconds,
        manifest={**facts_of(corpus, codes), "fit": result.info, "readout": model.readout},
    )


def facts_of(corpus: Corpus, codes: ImageCodes) -> dict[str, Any]:
    """Facts about the images and their codebook, for the manifest."""
    counts = {"documents": corpus.num_docs, "words": corpus.num_words}
    book = codes.codebook
    return {
        "corpus": {"fingerprint": corpus.fingerprint, **counts, **corpus.info},
        "codebook": {"key": book.key, "is_cached": book.is_cached, **book.facts},
    }


def check_images(cfg: Configuration, images: ImageSet) -> None:
    """Raise ValueError if the set is too small, or has too few labels, for the configuration."""
    num_train = len(images.rows("train"))
    if num_train < 2:
        raise ValueError(
            f"{images.name} has {num_train} training image of {images.num_docs}, but a model needs at least "
            "2; give more images, or use data.split.val=0 data.split.test=0"
        )
    if isinstance(cfg.num_topics, int) and cfg.num_topics > num_train:
        raise ValueError(
            f"num_topics={cfg.num_topics}, but {images.name} has {num_train} training images; "
            "ask for fewer topics"
        )
    labels = [] if images.labels is None else images.labels[images.rows("train")]
    if cfg.mode["name"] == "supervised" and len(set(labels) - {-1}) < 2:
        raise ValueError(
            f"mode=supervised needs training images of at least two labels, but {images.name} has "
            f"{'none' if images.labels is None else 'fewer'}; give each label a folder or use mode=zero_shot"
        )


def learned_codes(cfg: Configuration, images: ImageSet) -> ImageCodes:
    """The codebook and the code grid of every image; trainer.max_epochs limits this stage too."""
    options: ImageCodebook = cfg.model["codebook"]
    if (epochs := cfg.trainer.max_epochs) is not None:
        options = {**options, "max_epochs": min(epochs, options["max_epochs"])}
    return image_codes(
        images,
        options,
        num_codes=cfg.model["num_codes"],
        seed=cfg.seed,
        cache_root=cfg.paths.cache,
        device=cfg.trainer.device,
        precision=cfg.trainer.precision,
    )


def grid_datamodule(cfg: Configuration, corpus: Corpus, codes: ImageCodes) -> TopicDataModule:
    """Images as documents: their visual words as counts, their code grids as embeddings."""
    is_supervised = cfg.mode["name"] == "supervised"
    num_regions = corpus.num_words // len(codes.codebook.vectors)
    return TopicDataModule(
        corpus,
        codes.grid.reshape(len(codes.grid), -1).astype(np.float32),
        shows_labels=is_supervised,
        embedding_key=key_hash({"codebook": codes.codebook.key, "images": corpus.fingerprint}),
        cache_root=cfg.paths.cache,
        word_vectors=lambda: np.tile(codes.codebook.vectors, (num_regions, 1)),
    )


def make_image_model(
    cfg: Configuration, datamodule: TopicDataModule, grid_shape: Sequence[int]
) -> TVQVAEImage:
    height, width = grid_shape
    sizes: ImageSizes = {
        "num_words": datamodule.corpus.num_words,
        "embedding_dim": datamodule.embedding_dim,
        "num_classes": datamodule.num_classes,
        "grid_shape": (height, width),
    }
    model = build_model(cfg, sizes)
    assert isinstance(model, TVQVAEImage)
    return model


def image_evidence(
    fitted: ImageTopicModel, images: ImageSet, codes: ImageCodes, result: TopicResult, samples: ImageSamples
) -> ImageEvidence:
    """Inputs of the image metrics, over the test images and the samples."""
    rows = np.random.default_rng(0).permutation(images.rows("test"))[:MAX_TESTED]
    model = fitted.model
    grids, theta, originals = codes.grid[rows], result.theta[rows], images.images[rows]
    others = [another_row(len(rows), seed) for seed in range(SHUFFLES if len(rows) > 1 else 0)]
    restored = fitted.decode(grids)
    difference = (originals.astype(np.float32) - restored) / 127.5
    num_topics, num_drawn = samples.by_topic.shape[:2]
    train = np.random.default_rng(0).permutation(images.rows("train"))[:MAX_NEIGHBOURS]
    label = None
    if images.labels is not None and (images.labels[train] >= 0).any():
        drawn = samples.by_topic.reshape(-1, *images.images.shape[1:])
        label = labels_of_nearest(drawn, images.images[train], images.labels[train])
    return ImageEvidence(
        num_cells=codes.grid[0].size,
        nats=model.image_nll(grids, theta),
        shuffled=np.array([model.image_nll(grids, theta[other]) for other in others]),
        unconditional=model.image_nll(grids, None) if model.draws_without_topics else None,
        squared_error=np.square(difference).mean(axis=(1, 2, 3)),
        usage=codes.codebook.facts["usage"],
        perplexity=codes.codebook.facts["perplexity"],
        drawn_for=np.repeat(np.arange(num_topics), num_drawn),
        drawn_topic=samples.topic_theta.reshape(-1, num_topics).argmax(axis=1),
        drawn_label=label,
    )


def write_image_topics(result: TopicResult, captions: Sequence[str], folder: Path) -> None:
    """Write topics.txt: one line per topic, the largest first: number, share, most frequent label, codes."""
    share, words = result.theta.mean(axis=0), result.topic_words(10)
    lines = [
        f"{topic:3d}  {share[topic]:6.1%}  {captions[topic]:24s}  {' '.join(words[topic])}"
        for topic in np.argsort(-share)
    ]
    head = f"topic  share   {'label':24s}  codes\n"
    (folder / "topics.txt").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
