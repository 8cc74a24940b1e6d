"""Code sets: tests if words that share codes of a codebook cooccur in documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from topiclab.metrics.neighbourhoods import skewness

CODE_WORDS = 10
BANDS = 20


@dataclass(frozen=True, eq=False)
class Pairs:
    """Word pairs to average over: ids of both words (P,), and weights (P,) that sum to 1."""

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Tested:
    """A value, and its mean when words are exchanged within their frequency band.

    z: their difference in standard deviations over the exchanges; nan if there are no pairs.
    """

    value: float
    null: float
    z: float

    @property
    def gain(self) -> float:
        return self.value - self.null


def usage(codes: np.ndarray, num_codes: int) -> float:
    """Share of the codes that at least one word has."""
    return len(np.unique(codes)) / num_codes


def distinct_sets(codes: np.ndarray) -> float:
    """Number of distinct code sets divided by that of words; 1 if no two words have the same set."""
    return len(np.unique(np.sort(codes, axis=1), axis=0)) / len(codes)


def code_skewness(codes: np.ndarray, num_codes: int) -> float:
    """Skewness of the number of words per code; large if a few codes are near to all words."""
    return skewness(np.bincount(codes.ravel(), minlength=num_codes))


def indicator(codes: np.ndarray, num_codes: int) -> sparse.csr_matrix:
    """Indicator matrix (V, N) of the K codes of every word (V, K)."""
    num_words, expansion = codes.shape
    places = np.arange(0, num_words * expansion + 1, expansion)
    ones = np.ones(codes.size, np.int32)
    return sparse.csr_matrix((ones, codes.ravel(), places), shape=(num_words, num_codes))


def sharing_pairs(codes: np.ndarray, num_codes: int) -> Pairs:
    """All pairs of words with a code in common, weighted by the number of common codes."""
    has = indicator(codes, num_codes)
    shared = sparse.triu(has @ has.T, k=1).tocoo()
    return Pairs(shared.row, shared.col, shared.data / max(1, shared.data.sum()))


def pairs_by_rank(codes: np.ndarray, num_codes: int) -> list[Pairs]:
    """Pairs with exactly one code in common, in K lists by the larger of its ranks for the two words.

    codes: (V, K), nearest first.
    """
    has = indicator(codes, num_codes)
    shared = sparse.triu(has @ has.T, k=1).tocoo()
    is_single = shared.data == 1
    first, second = shared.row[is_single], shared.col[is_single]
    is_same = codes[first][:, :, None] == codes[second][:, None, :]
    ranks = np.maximum(is_same.any(axis=2).argmax(axis=1), is_same.any(axis=1).argmax(axis=1))
    found = [np.flatnonzero(ranks == rank) for rank in range(codes.shape[1])]
    return [Pairs(first[at], second[at], np.full(len(at), 1 / max(1, len(at)))) for at in found]


def code_pairs(codes: np.ndarray, num_codes: int) -> Pairs:
    """All pairs among up to CODE_WORDS words of each code; codes with two or more words weigh the same.

    Words that have the code as nearest come first, then as second, each in order of the vocabulary.
    """
    members: list[list[int]] = [[] for _ in range(num_codes)]
    for column in codes.T.tolist():
        for word, code in enumerate(column):
            members[code].append(word)
    several = [np.array(words[:CODE_WORDS]) for words in members if len(words) > 1]
    above = [np.triu_indices(len(words), 1) for words in several]
    firsts = [words[rows] for words, (rows, _) in zip(several, above, strict=True)]
    seconds = [words[columns] for words, (_, columns) in zip(several, above, strict=True)]
    weights = [np.full(len(rows), 1 / len(rows) / len(several)) for rows, _ in above]
    nothing = np.array([], np.int64)
    return Pairs(*(np.concatenate([nothing, *parts]) for parts in (firsts, seconds, weights)))


def exchanges(word_counts: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Permutations (num, V) that exchange words within BANDS bands of similar frequency."""
    order = np.argsort(word_counts, kind="stable")
    bands = np.array_split(order, max(1, min(BANDS, len(order) // 5)))
    found = np.empty((num, len(order)), np.int64)
    for exchanged in found:
        for band in bands:
            exchanged[band] = rng.permutation(band)
    return found


def exchange_test(pairs: Pairs, npmi: np.ndarray, exchanged: np.ndarray) -> Tested:
    """Mean of npmi (V, V) over the pairs, compared with its values under permutations of words (num, V)."""
    if not len(pairs.weights):
        return Tested(np.nan, np.nan, np.nan)
    table, num_words = npmi.ravel(), len(npmi)

    def mean(first: np.ndarray, second: np.ndarray) -> float:
        return float(table.take(first * num_words + second) @ pairs.weights)

    value = mean(pairs.first, pairs.second)
    null = np.array([mean(words[pairs.first], words[pairs.second]) for words in exchanged])
    spread = null.std(ddof=1)
    return Tested(value, float(null.mean()), float((value - null.mean()) / spread) if spread > 0 else np.nan)
