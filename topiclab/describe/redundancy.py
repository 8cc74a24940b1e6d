"""Terms that say the same: a word and its plural, a pair of words and the words in it."""

from __future__ import annotations

import re

import numpy as np

from topiclab.describe.ngrams import NgramCounts

NESTED = 0.5  # of a word's occurrences in a topic: when so many are in one pair, the pair stands for the word
# What stands for both numbers of a word: query and queries, database and databases, model and models.
# Words on -as, -is, -ss and -us, such as bias, are no plurals.
NUMBERLESS = (
    (re.compile(r"(\w{2})ies$"), r"\1y"),
    (re.compile(r"(s|x|z|ch|sh)es?$"), r"\1"),
    (re.compile(r"([^aisu])s$"), r"\1"),
)


def distinct_terms(counts: NgramCounts, ranked: np.ndarray, frequencies: np.ndarray, num: int) -> list[int]:
    """The first `num` of a topic's terms that say something which those before do not.

    ranked: columns of candidates, the best first.  frequencies: (N,) of all terms in the topic.
    A word stands back for the pair that holds at least NESTED of its occurrences, which takes its place.
    Beside a word no pair with it is chosen, beside a pair neither of its words, no other number of a word
    already there, and no pair that continues another, as `language models` continues `large language`.
    """
    stems = {int(term): stems_of(counts, term) for term in ranked}
    stand_in = _stand_ins(counts, ranked, frequencies)
    chosen: list[int] = []
    candidates: list[int] = ranked.tolist()
    for candidate in candidates:
        term = stand_in.get(candidate, candidate)
        if not any(is_covered(stems[term], stems[other]) for other in chosen):
            chosen.append(term)
        if len(chosen) == num:
            break
    return chosen


def singular(word: str) -> str:
    """An English word without the ending of its number; only to compare, never to show."""
    for ending, instead in NUMBERLESS:
        if ending.search(word):
            return ending.sub(instead, word)
    return word


def stems_of(counts: NgramCounts, term: int) -> tuple[str, ...]:
    """The words of a term, without their number."""
    head, tail = counts.parts[term].tolist()
    words = [head] if head == tail and term == head else [head, tail]
    return tuple(singular(counts.vocab[word]) for word in words)


def _stand_ins(counts: NgramCounts, ranked: np.ndarray, frequencies: np.ndarray) -> dict[int, int]:
    """Of each word that mostly occurs in one of the pairs, that pair."""
    found: dict[int, int] = {}
    pairs = ranked[ranked >= counts.num_words]
    for pair in pairs[np.argsort(frequencies[pairs], kind="stable")].tolist():  # the most frequent one last
        for word in counts.parts[pair].tolist():
            if frequencies[pair] >= NESTED * frequencies[word]:
                found[word] = pair
    return found


def is_covered(term: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the words of a term say what those of the other do, or go on from there."""
    if len(term) == len(other) == 2:
        is_same = set(term) == set(other)
        return is_same or term[0] == other[1] or term[1] == other[0]
    return bool(set(term) & set(other))
