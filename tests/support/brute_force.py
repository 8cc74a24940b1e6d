"""Window counts by visiting every window, for tests of the fast counts."""

import numpy as np


def brute_force(documents, vocab, window, variant):
    """Count words and pairs over every window in turn."""
    pairs, num_windows = np.zeros((len(vocab), len(vocab)), dtype=int), 0
    for words in documents:
        seen = set(words[:window])
        for start in range(max(1, len(words) - window + 1)):
            if variant == "exact":
                seen = set(words[start : start + window])
            elif start:
                seen = (seen - {words[start - 1]}) | {words[start + window - 1]}
            here = np.array([word in seen for word in vocab])
            pairs += np.outer(here, here)
            num_windows += 1
    return pairs, num_windows
