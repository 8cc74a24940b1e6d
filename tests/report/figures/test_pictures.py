"""Grids of images: every cell in its place, unblurred, the largest topic first."""

import numpy as np
import pytest
from PIL import Image

from topiclab.report.figures.pictures import (
    CELL,
    GAP,
    MAX_IN_A_ROW,
    draw_codebook_usage,
    draw_reconstructions,
    draw_references,
    draw_samples,
    draw_topics,
)

RNG = np.random.default_rng(0)


def cells(*counts, channels=1, size=8):
    """Make images of one random shade each that no text or gap has."""
    shades = RNG.permutation(np.arange(41, 159))[: int(np.prod(counts))].astype(np.uint8)
    return np.ascontiguousarray(
        np.broadcast_to(shades.reshape(*counts, 1, 1, 1), (*counts, channels, size, size))
    )


def places(path, images):
    """Find top and left (n, 2) of each one-shade image in a file; checks that each is a whole square."""
    drawn = np.asarray(Image.open(path).convert("RGB"))
    side = images.shape[-1] * max(1, -(-CELL // images.shape[-1]))
    found = []
    for image in images.reshape(-1, *images.shape[-3:]):
        total = np.pad((drawn == image[0, 0, 0]).all(axis=2), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
        (place,) = np.argwhere(inside == side * side)  # the edge of a letter may have the same shade
        found.append(place)
    return np.array(found)


def test_topics_are_rows_and_the_largest_comes_first(tmp_path):
    by_topic, shares = cells(3, 5), np.array([0.2, 0.7, 0.1])
    path = draw_topics(by_topic, shares, tmp_path)
    at = places(path, by_topic).reshape(3, 5, 2)
    assert path.name == "topics.png"
    assert at[1, 0, 0] < at[0, 0, 0] < at[2, 0, 0]
    np.testing.assert_array_equal(np.ptp(at[:, :, 0], axis=1), 0)
    np.testing.assert_array_equal(np.diff(at[:, :, 1], axis=1), CELL + GAP)


def test_examples_stand_before_what_is_drawn_and_captions_before_both(tmp_path):
    images = cells(2, 7)
    shares, captions = np.array([0.5, 0.5]), ["mostly a rather long name", "b"]
    bare = places(draw_topics(images[:, 3:], shares, tmp_path), images[:, 3:]).reshape(2, 4, 2)
    path = draw_topics(images[:, 3:], shares, tmp_path, examples=images[:, :3], captions=captions)
    at = places(path, images).reshape(2, 7, 2)
    assert (np.diff(at[:, :, 1], axis=1) > 0).all()
    assert at[0, 3, 1] - at[0, 2, 1] > CELL + GAP
    assert at[0, 0, 1] > bare[0, 0, 1]


@pytest.mark.parametrize("size", [8, 32, 64])
def test_references_stand_beside_their_samples(size, tmp_path):
    images = cells(3, 5, channels=3, size=size)
    path = draw_references(images[:, 0], images[:, 1:], tmp_path, ["a.png", "b.png", "c.png"])
    at = places(path, images).reshape(3, 5, 2)
    np.testing.assert_array_equal(np.ptp(at[:, :, 0], axis=1), 0)
    assert (np.diff(at[:, :, 1], axis=1) > size).all()


def test_each_reconstruction_is_right_of_its_original(tmp_path):
    images = cells(2, 11)
    at = places(draw_reconstructions(images[0], images[1], tmp_path), images).reshape(2, 11, 2)
    np.testing.assert_array_equal(at[1] - at[0], np.tile([0, CELL + GAP], (11, 1)))


def test_pixels_are_enlarged_by_whole_factors_and_colours_kept(tmp_path):
    images = RNG.integers(0, 256, (4, 3, 16, 16)).astype(np.uint8)
    drawn = np.asarray(Image.open(draw_samples(images, tmp_path, "unconditional")))
    top, left = (drawn.shape[0] - 2 * CELL - GAP) // 2, (drawn.shape[1] - 2 * CELL - GAP) // 2
    square = drawn[top : top + CELL, left : left + CELL]
    np.testing.assert_array_equal(square, images[0].transpose(1, 2, 0).repeat(3, 0).repeat(3, 1))


def test_long_rows_are_cut(tmp_path):
    with Image.open(draw_topics(cells(2, 40), np.array([0.5, 0.5]), tmp_path)) as drawn:
        assert drawn.width < (MAX_IN_A_ROW + 3) * (CELL + GAP)


@pytest.mark.parametrize("counts", [np.arange(64), np.zeros(5), np.array([7])])
def test_codebook_usage_is_drawn_whatever_the_counts(counts, tmp_path):
    with Image.open(draw_codebook_usage(counts, tmp_path)) as drawn:
        assert drawn.size == (1350, 525)
