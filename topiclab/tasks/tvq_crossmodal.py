"""task=tvq_crossmodal: agreement of topics of images with topics of their captions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.images.captions import write_captions
from topiclab.data.images.image_set import ImageSet, code_corpus, load_images
from topiclab.data.sources.corpora import corpus_from_texts
from topiclab.metrics.alignment import Alignment, alignment
from topiclab.metrics.clustering import normalized_mutual_information
from topiclab.pipeline.build import make_model
from topiclab.pipeline.fit_images import check_images, grid_datamodule, learned_codes, make_image_model
from topiclab.pipeline.inputs import document_vectors, make_datamodule
from topiclab.pipeline.stages import Stages
from topiclab.pipeline.wandb_log import log_summary, wandb_logger
from topiclab.runs.outcome import Outcome
from topiclab.settings import Split, Vocabulary

PERMUTATIONS, CONTROL_PERMUTATIONS = 1000, 200


def tvq_crossmodal(cfg: Configuration, folder: Path) -> Outcome:
    """Agreement on held-out pairs of image topics (cfg.model) with caption topics (captions.model).

    Metrics are <side>/<name>, <side>/<name>_null over permuted pairs and <side>/<name>_z. Sides, each
    against the topics of the captions: topics, of the images; pixels, k-means of the images; labels, the true
    classes. The two models are fitted separately: neither knows anything of the other.
    """
    clock, rng = Stages(), np.random.default_rng(cfg.seed)
    images = load_images(cfg.data, cfg.paths.data, cfg.paths.cache)
    check_images(cfg, images)
    if images.labels is None:
        raise ValueError(f"captions are written from labels, but {images.name} has none; use data=digits")
    with threadpool_limits(cfg.trainer.num_threads):
        with clock("images"):
            of_images = image_topics(cfg, images, folder / "images")
        with clock("captions"):
            corpus = caption_corpus(cfg, images)
            of_captions = caption_topics(cfg, corpus, folder / "captions")
        with clock("alignment"):
            one_hot = np.eye(len(images.label_names))
            is_train = np.isin(np.arange(images.num_docs), images.rows("train"))
            sides = {
                "topics": (of_images, PERMUTATIONS),
                "pixels": (pixel_clusters(images, of_images.shape[1], cfg.seed), CONTROL_PERMUTATIONS),
                "labels": (one_hot[images.labels], CONTROL_PERMUTATIONS),
            }
            metrics: dict[str, float] = {}
            for side, (theta, number) in sides.items():
                for name, found in alignment(theta, of_captions, is_train, number, rng).items():
                    metrics |= measures(f"{side}/{name}", found)
    for name, theta in (("topics", of_images), ("captions", of_captions)):
        main = theta[~is_train].argmax(axis=1)
        metrics[f"{name}/label_nmi"] = normalized_mutual_information(images.labels[~is_train], main)
    for name, theta in (("theta_images", of_images), ("theta_captions", of_captions)):
        np.save(folder / f"{name}.npy", theta, allow_pickle=False)
    with wandb_logger(cfg, folder) as wandb_run:
        log_summary(wandb_run, metrics, "agreement")
    return Outcome(
        metrics=metrics,
        reasons={
            name: "permuting changes nothing" for name, value in metrics.items() if not np.isfinite(value)
        },
        seconds=clock.seconds,
        manifest={"captions": corpus.texts[:10], "words": corpus.num_words},
    )


def image_topics(cfg: Configuration, images: ImageSet, folder: Path) -> np.ndarray:
    """theta (D, K) of the images, without drawing samples."""
    folder.mkdir(exist_ok=True)
    codes = learned_codes(cfg, images)
    corpus = code_corpus(images, codes.grid, cfg.model["num_codes"], cfg.model["regions"])
    datamodule = grid_datamodule(cfg, corpus, codes)
    model = make_image_model(cfg, datamodule, codes.grid.shape[1:])
    return model.fit(datamodule, folder, cfg.trainer, []).theta


def caption_corpus(cfg: Configuration, images: ImageSet) -> Corpus:
    """Corpus with a caption for every image, in the images' order and with their split."""
    assert images.labels is not None
    captions = cfg.own["captions"]
    texts = write_captions(cfg.data["source"], images.label_names, images.labels, captions["seed"])
    names = [images.label_names[label] for label in images.labels]
    corpus = corpus_from_texts(
        texts,
        name=f"captions of {images.name}",
        labels=names,
        vocabulary=Vocabulary.of(captions["vocabulary"]),
        split=Split(val=0.0, test=0.0),
    )
    return replace(corpus, split=images.split)


def caption_topics(cfg: Configuration, corpus: Corpus, folder: Path) -> np.ndarray:
    """theta (D, K) of the captions."""
    folder.mkdir(exist_ok=True)
    captions = cfg.own["captions"]
    cfg = replace(cfg, data={**cfg.data, "vocabulary": captions["vocabulary"]}, model=captions["model"])
    datamodule = make_datamodule(cfg, corpus, document_vectors(cfg, corpus))
    return make_model(cfg, datamodule).fit(datamodule, folder, cfg.trainer, []).theta


def pixel_clusters(images: ImageSet, num_clusters: int, seed: int) -> np.ndarray:
    """One-hot k-means clusters (D, K) of the images, fitted on the training images."""
    from sklearn.cluster import KMeans

    pixels = images.images.reshape(images.num_docs, -1).astype(np.float32) / 255
    found = KMeans(num_clusters, random_state=seed).fit(pixels[images.rows("train")])
    return np.eye(num_clusters)[found.predict(pixels)]


def measures(name: str, found: Alignment) -> dict[str, float]:
    return {name: found.value, f"{name}_null": found.null, f"{name}_z": found.z}
