"""codes.txt: the codebook as words, so that a reader can see what a topic is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NUM_TOP_CODES, NUM_CODE_WORDS, NUM_BRIEF_WORDS = 5, 12, 3


def codes_file(beta: np.ndarray, codes: np.ndarray, counts: np.ndarray, vocab: Sequence[str]) -> str:
    """Text of the file: the strongest codes of every topic, then the words of every code.

    beta: (K, N) logits.  codes: (V, E), nearest first.  counts: (V,) occurrences of the words.
    """
    names = np.asarray(vocab, dtype=object)
    words = [names[each].tolist() for each in words_of_codes(codes, counts, beta.shape[1])]
    shares = code_shares(codes, counts, beta.shape[1])
    lines = [f"topic  its {NUM_TOP_CODES} strongest codes, with words of each"]
    for topic, row in enumerate(beta):
        strongest = np.argsort(-row, kind="stable")[:NUM_TOP_CODES]
        named = (f"{code} ({' '.join(words[code][:NUM_BRIEF_WORDS])})" for code in strongest)
        lines.append(f"{topic:5d}  {'  '.join(named)}")
    lines += ["", " code   share  words that it is nearest to, the most frequent first"]
    for code in np.argsort(-shares, kind="stable"):
        lines.append(f"{code:5d}  {shares[code]:6.2%}  {' '.join(words[code][:NUM_CODE_WORDS])}")
    return "\n".join(lines) + "\n"


def words_of_codes(codes: np.ndarray, counts: np.ndarray, num_codes: int) -> list[np.ndarray]:
    """Words that have each code, sorted by the rank of the code among theirs, then by frequency."""
    num_words, expansion = codes.shape
    words = np.repeat(np.arange(num_words), expansion)
    ranks = np.tile(np.arange(expansion), num_words)
    order = np.lexsort((-counts[words], ranks, codes.ravel()))
    bounds = np.searchsorted(codes.ravel()[order], np.arange(1, num_codes))
    return np.split(words[order], bounds)


def code_shares(codes: np.ndarray, counts: np.ndarray, num_codes: int) -> np.ndarray:
    """Share (N,) of each code in the code occurrences of the corpus."""
    masses = np.repeat(counts.astype(np.float64), codes.shape[1])
    said = np.bincount(codes.ravel(), masses, minlength=num_codes)
    return said / said.sum()
