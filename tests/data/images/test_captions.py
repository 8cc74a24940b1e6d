"""Captions name the class and nothing else."""

import numpy as np
import pytest

from topiclab.data.images.captions import DESCRIBED, TEMPLATES, write_captions


@pytest.mark.parametrize("source", DESCRIBED)
def test_every_class_has_captions_of_its_own(source):
    names = list(DESCRIBED[source])
    labels = np.repeat(np.arange(len(names)), 200)
    captions = write_captions(source, names, labels, seed=0)
    of_class = [set(captions[start : start + 200]) for start in range(0, len(captions), 200)]
    assert sum(map(len, of_class)) == len(set().union(*of_class))
    for (called, looks), found in zip(DESCRIBED[source].values(), of_class, strict=True):
        assert len(found) > 0.6 * len(called) * len(looks) * len(TEMPLATES[source])
        assert all(any(name in caption for name in called) for caption in found)


def test_captions_are_drawn_again_from_the_same_seed():
    labels = np.array([3, 1, 3, 3, 3])
    names = [str(digit) for digit in range(10)]
    assert write_captions("digits", names, labels, 1) == write_captions("digits", names, labels, 1)
    assert write_captions("digits", names, labels, 1) != write_captions("digits", names, labels, 2)


def test_what_is_not_described_is_refused():
    with pytest.raises(ValueError, match="use data=digits or data=cifar10"):
        write_captions("celeba", ["a"], np.array([0]), 0)
    with pytest.raises(ValueError, match="labels none, ten"):
        write_captions("digits", ["1", "ten"], np.array([0, 1, -1]), 0)
