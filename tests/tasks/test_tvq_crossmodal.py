"""task=tvq_crossmodal: captions in the order of their images, and informative controls."""

import numpy as np
import pytest
from made_settings import configured

from topiclab.data.images.image_set import load_images
from topiclab.tasks.tvq_crossmodal import caption_corpus, caption_topics, pixel_clusters


@pytest.fixture(scope="module")
def images_cfg(tmp_path_factory):
    small = ["captions.model.codebook.max_epochs=2", "trainer.max_epochs=2", "trainer.device=cpu"]
    cell = ["task=tvq_crossmodal", "model=tvqvae_image", "data=digits", "data.sample=300", "embedder=lsa"]
    return configured(*cell, *small, "num_topics=5", f"paths.cache={tmp_path_factory.mktemp('cache')}")


def test_captions_stand_in_the_order_of_the_images(images_cfg, tmp_path):
    images = load_images(images_cfg.data)
    corpus = caption_corpus(images_cfg, images)
    assert [corpus.label_names[label] for label in corpus.labels] == [
        images.label_names[label] for label in images.labels
    ]
    assert (corpus.split == images.split).all()
    assert {"zero", "loop", "seven"} <= set(corpus.vocab)
    theta = caption_topics(images_cfg, corpus, tmp_path)
    assert theta.shape == (300, 5)


def test_clusters_of_pixels_say_something_of_the_digit(images_cfg):
    images = load_images(images_cfg.data)
    clusters = pixel_clusters(images, 10, seed=0)
    assert (clusters.sum(axis=1) == 1).all()
    main = clusters.argmax(axis=1)
    assert np.mean([np.bincount(images.labels[main == each]).max() for each in set(main)]) * 10 > 0.5 * 300
