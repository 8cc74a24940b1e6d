"""Targets of a student against softmax by hand: the temperature also applies to the kept words."""

import numpy as np
import pytest

from topiclab.data.soft_labels import SoftLabels
from topiclab.data.targets import distributions
from topiclab.teach.soft_labels import pack

LOGITS = np.array([[4, 1, 0, 3, -2], [0, 2, 5, 1, 4]], dtype=np.float32)
KEPT = [[0, 3, 1], [2, 4, 1]]  # the three likeliest words of each document


def labels(stored: int | None) -> SoftLabels:
    """Make soft labels of LOGITS, with all or only the stored likeliest words of each document."""
    arrays = pack(LOGITS, None, stored, np.arange(2))
    return SoftLabels(
        logits=arrays["logits"],
        words=arrays.get("words"),
        peaks=arrays["peaks"],
        residual=arrays.get("residual"),
        vectors=None,
        num_words=5,
        temperature=1.0,
        key="made",
        manifest={},
        is_cached=False,
        seconds=0.0,
    )


@pytest.mark.parametrize("stored", [None, 4, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_kept_words_share_the_tempered_softmax(stored, temperature):
    expected = np.zeros((2, 5))
    for row, words in enumerate(KEPT):
        weights = np.exp(LOGITS[row, words].astype(float) / temperature)
        expected[row, words] = weights / weights.sum()
    targets = distributions(labels(stored), temperature, top_k=3)
    np.testing.assert_allclose(targets.values.toarray(), expected, rtol=1e-5)
    entropy = [-sum(share * np.log(share) for share in row if share) for row in expected]
    np.testing.assert_allclose(targets.entropy, entropy, rtol=1e-5)
