"""Redundant terms: a word and its plural, a word pair and the words in it."""

from __future__ import annotations

import re

import numpy as np

from topiclab.describe.ngrams import NgramCounts

NESTED = 0.5  # share of a word's occurrences in a topic from which a pair that holds them replaces the word
# Reduces singular and plural to one form: query and queries, database and databases, model and models.
# Words ending in -as, -is, -ss and -us, such as bias, are not plurals.
NUMBERLESS = (
    (re.compile(r"(\w{2})ies$"), r"\1y"),
    (re.compile(r"(s|x|z|ch|sh)es?$"), r"\1"),
    (re.compile(r"([^aisu])s$"), r"\1"),
)


def distinct_terms(counts: NgramCounts, ranked: np.ndarray, frequencies: np.ndarray, num: int) -> list[int]:
    """First `num` terms of a topic that are not redundant given those before.

    ranked: columns of candidates, the best first.  frequencies: (N,) of all terms in the topic.
    A word is replaced by a pair that holds at least NESTED of its occurrences. A word excludes the pairs that
    contain it, a pair its words; the singular or plural of a chosen word is excluded too, and so is a pair
    that continues another, as `language models` continues `large language`.
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
    """Strip the plural ending of an English word; only for comparison, never for display."""
    for ending, instead in NUMBERLESS:
        if ending.search(word):
            return ending.sub(instead, word)
    return word


def stems_of(counts: NgramCounts, term: int) -> tuple[str, ...]:
    """Words of a term, without plural endings."""
    head, tail = counts.parts[term].tolist()
    words = [head] if head == tail and term == head else [head, tail]
    return tuple(singular(counts.vocab[word]) for word in words)


def _stand_ins(counts: NgramCounts, ranked: np.ndarray, frequencies: np.ndarray) -> dict[int, int]:
    """Map each word that mostly occurs in one of the pairs to that pair."""
    found: dict[int, int] = {}
    pairs = ranked[ranked >= counts.num_words]
    for pair in pairs[np.argsort(frequencies[pairs], kind="stable")].tolist():  # the most frequent one last
        for word in counts.parts[pair].tolist():
            if frequencies[pair] >= NESTED * frequencies[word]:
                found[word] = pair
    return found


def is_covered(term: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """True if a term is redundant given the other: they share words, or one continues the other."""
    if len(term) == len(other) == 2:
        is_same = set(term) == set(other)
        return is_same or term[0] == other[1] or term[1] == other[0]
    return bool(set(term) & set(other))
