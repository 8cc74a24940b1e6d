"""Sets of images: their sources, their split, and the corpus of visual words made of them."""

from dataclasses import replace

import numpy as np
import pytest
from image_groups import data_group
from sklearn.datasets import load_digits

from topiclab.data.images.image_set import ImageSet, code_corpus, load_images
from topiclab.data.sources.corpora import load_texts


def few_images(num_docs=5, size=4):
    pixels = np.random.default_rng(0).integers(0, 256, (num_docs, 1, size, size)).astype(np.uint8)
    labels = np.arange(num_docs) % 2
    ids = tuple(f"i{row}" for row in range(num_docs))
    return ImageSet("few", ids, pixels, np.arange(num_docs, dtype=np.int8) % 3, labels, ("even", "odd"))


def test_digits_are_scikit_learns_scaled_to_bytes():
    images, truth = load_images(data_group("digits")), load_digits()
    assert (images.images.shape, images.images.dtype) == ((1797, 1, 8, 8), np.uint8)
    np.testing.assert_allclose(images.images[:, 0] / 255 * 16, truth.images, atol=8 / 255 + 1e-9)
    assert (images.images.min(), images.images.max()) == (0, 255)
    np.testing.assert_array_equal(images.labels, truth.target)
    assert images.label_names == tuple("0123456789")
    shares = np.bincount(images.split) / images.num_docs
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)


def test_an_image_never_moves_between_splits_and_a_sample_is_part_of_a_larger_one():
    whole = load_images(data_group("digits"))
    sample, larger = (load_images(data_group("digits", sample=size)) for size in (100, 200))
    assert set(sample.ids) < set(larger.ids) < set(whole.ids)
    assert load_images(data_group("digits", sample=100, sample_seed=1)).ids != sample.ids
    rows = [whole.ids.index(name) for name in sample.ids]
    assert rows == sorted(rows)
    np.testing.assert_array_equal(sample.images, whole.images[rows])
    np.testing.assert_array_equal(sample.split, whole.split[rows])
    more_val = load_images(data_group("digits", split={"val": 0.3, "test": 0.2}))
    np.testing.assert_array_equal(more_val.rows("test"), whole.rows("test"))
    assert set(whole.rows("val")) < set(more_val.rows("val"))


def test_fingerprint_changes_with_pixels_split_and_labels_alone():
    images = few_images()
    assert replace(images, name="other", ids=tuple("abcde"), info={"a": 1}).fingerprint == images.fingerprint
    pixels = images.images.copy()
    pixels[3, 0, 1, 1] ^= 1
    changed = {"images": pixels, "split": images.split[::-1], "labels": 1 - images.labels}
    assert (
        len({images.fingerprint, *(replace(images, **{k: v}).fingerprint for k, v in changed.items())}) == 4
    )
    assert replace(images, images=images.images.reshape(5, 1, 2, 8)).fingerprint != images.fingerprint
    loaded = load_images(data_group("digits"))
    assert replace(loaded, digests=None).fingerprint == loaded.fingerprint


@pytest.mark.parametrize(
    ("regions", "num_regions", "first", "last"),
    [
        ("codes", 1, "c000", "c006"),
        ("quadrant", 4, "q0c000", "q3c006"),
        ("position", 12, "p00c000", "p11c006"),
    ],
)
def test_code_corpus_counts_every_cell_as_its_region_and_code(regions, num_regions, first, last):
    images, num_codes = few_images(), 7
    grid = np.random.default_rng(1).integers(0, num_codes, (5, 3, 4)).astype(np.int16)
    corpus = code_corpus(images, grid, num_codes, regions)
    assert corpus.num_words == num_regions * num_codes == len(set(corpus.vocab))
    assert (corpus.vocab[0], corpus.vocab[-1]) == (first, last)
    np.testing.assert_array_equal(corpus.token_ids.reshape(5, 12) % num_codes, grid.reshape(5, 12))
    for doc in range(5):
        counts = np.bincount(corpus.token_ids[doc * 12 : doc * 12 + 12], minlength=corpus.num_words)
        np.testing.assert_array_equal(corpus.bow[doc].toarray()[0], counts)
        words = [corpus.vocab[token] for token in corpus.token_ids[doc * 12 : doc * 12 + 12]]
        assert corpus.texts[doc] == " ".join(words)
    of_region = corpus.bow.toarray().reshape(5, num_regions, num_codes).sum(2)
    assert {tuple(row) for row in of_region} <= {(12,), (4, 4, 2, 2), (1,) * 12}
    assert (corpus.ids, corpus.label_names) == (images.ids, images.label_names)
    np.testing.assert_array_equal(corpus.split, images.split)


def test_quarters_are_left_right_above_below():
    grid = np.zeros((5, 4, 4), np.int64)
    words = code_corpus(few_images(), grid, 1, "quadrant").token_ids[:16].reshape(4, 4)
    np.testing.assert_array_equal(words, [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])


@pytest.mark.parametrize(
    ("grid", "regions", "message"),
    [
        (np.zeros((4, 2, 2), int), "codes", "5 images but 4 code grids"),
        (np.full((5, 2, 2), 7), "codes", "codes 7..7, but the codebook has 7"),
        (np.zeros((5, 2, 2), int), "halves", "regions=halves is unknown; use codes, quadrant or position"),
    ],
)
def test_grids_that_do_not_fit_are_refused(grid, regions, message):
    with pytest.raises(ValueError, match=message):
        code_corpus(few_images(), grid, 7, regions)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sample": 1}, "images digits: 1 of them, but a topic model needs at least 2"),
        ({"split": {"val": None, "test": 0.1}}, "val=None.*published split, which digits does not have"),
        ({"split": {"val": 0.09, "test": 0.9}, "sample": 2}, "none into training; use data.split.val=0"),
    ],
)
def test_settings_that_leave_nothing_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        load_images(data_group("digits", **changed))


def test_images_are_not_read_as_texts():
    with pytest.raises(ValueError, match="data=digits holds images, but texts are read here"):
        load_texts(data_group("digits", deduplicate=False))
