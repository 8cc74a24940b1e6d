"""Merges of byte-level BPE, and those that turn a given word into one token."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

Merge = tuple[str, str]


def byte_symbols() -> list[str]:
    """The printable character that stands for each byte 0..255 in a vocabulary, as in GPT-2's.

    Bytes printable in Latin-1 stand for themselves; the others are the characters from 256 on.
    """
    prints = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    kept = set(prints)
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


def segment(symbols: Sequence[str], ranks: Mapping[Merge, int]) -> list[str]:
    """Pieces left after merging the symbols: the pair of lowest rank first, the leftmost of equals."""
    pieces = list(symbols)
    while len(pieces) > 1:
        ranked = [(ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(pieces))]
        rank, at = min(ranked)
        if rank == len(ranks):
            break
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


def fit_merges(learned: Sequence[Merge], words: Sequence[Sequence[str]], num_tokens: int) -> list[Merge]:
    """The first learned merges, then those that make every word one piece, at most num_tokens in all.

    words: symbols of each word.  Raises ValueError if the words alone need more tokens.
    """
    made: dict[str, None] = {}
    num_made = [len(made)]  # distinct tokens after each merge
    for pair in learned:
        made["".join(pair)] = None
        num_made.append(len(made))
    room = num_tokens
    while True:
        merges = list(learned[: bisect_right(num_made, room) - 1])
        merges += missing_merges(merges, words)
        excess = len({"".join(pair) for pair in merges}) - num_tokens
        if excess <= 0:
            return merges
        if room <= 0:
            raise ValueError(
                f"{len(words)} forced words need {num_tokens + excess} tokens besides the bytes and the "
                f"special ones, but there is room for {num_tokens}; raise vocab_size or force fewer"
            )
        room = max(0, room - excess)


def missing_merges(merges: Sequence[Merge], words: Sequence[Sequence[str]]) -> list[Merge]:
    """Merges that, ranked after the given ones, make every word one piece.

    A merge ranked last changes no word that was already one piece, so words are handled one by one.
    """
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    added: list[Merge] = []
    for word in words:
        while len(pieces := segment(word, ranks)) > 1:
            pair = (pieces[0], pieces[1])
            ranks[pair] = len(ranks)
            added.append(pair)
    return added
