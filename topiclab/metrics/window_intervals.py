"""Window intervals: windows that hold a word, as intervals of window starts; counts of shared windows.

A window is identified by its start; the starts of a corpus are numbered consecutively, document by document.
Each occurrence of a word has an interval of starts, and the intervals of one word never overlap, so the
number of windows that hold two words is the sum of the overlaps of their intervals: windows are never
enumerated.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TILE = 64  # rows and columns mirrored at a time, to fit the processor's cache


@njit(cache=True)
def find_intervals(
    token_ids: np.ndarray, offsets: np.ndarray, num_words: int, window: int, is_gensim: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Word, first and last window start of every interval, by ascending first; and the number of windows.

    token_ids: (T,), negative for a token that only occupies a position.  offsets: (D + 1,).
    A document of n tokens has max(1, n - window + 1) windows. The interval of an occurrence begins at start
    max(0, position - window + 1) and ends before that of the next copy of its word. It ends when its own
    token leaves the window or, as in gensim, as soon as any earlier copy leaves it.
    """
    num_tokens = len(token_ids)
    words = np.empty(num_tokens, np.int32)
    firsts = np.empty(num_tokens, np.int64)
    lasts = np.empty(num_tokens, np.int64)
    next_copy = np.empty(num_tokens, np.int64)
    # first the nearest copy to the right, later the oldest copy
    seen_at = np.full(num_words, num_tokens + window, np.int64)
    num_intervals = num_windows = 0
    for doc in range(len(offsets) - 1):
        begin, end = offsets[doc], offsets[doc + 1]
        for place in range(end - 1, begin - 1, -1):
            word = token_ids[place]
            if word >= 0:
                next_copy[place] = seen_at[word]
                seen_at[word] = place
        final = max(0, end - begin - window)
        for place in range(begin, end):
            word = token_ids[place]
            if word < 0:
                continue
            first = max(0, place - begin - window + 1)
            while seen_at[word] < begin + first:
                seen_at[word] = next_copy[seen_at[word]]
            leaves = seen_at[word] if is_gensim else place
            next_first = max(0, next_copy[place] - begin - window + 1)
            last = min(leaves - begin, next_first - 1, final)
            if last >= first:
                words[num_intervals] = word
                firsts[num_intervals] = num_windows + first
                lasts[num_intervals] = num_windows + last
                num_intervals += 1
        for place in range(begin, end):
            if token_ids[place] >= 0:
                seen_at[token_ids[place]] = num_tokens + window
        num_windows += final + 1
    return words[:num_intervals], firsts[:num_intervals], lasts[:num_intervals], num_windows


@njit(cache=True)
def add_pairs(
    words: np.ndarray, firsts: np.ndarray, lasts: np.ndarray, order: np.ndarray, pair_counts: np.ndarray
) -> None:
    """Add the number of windows that hold both words (diagonal: the word) to one half of pair_counts (V, V).

    firsts ascend, so the search for overlaps of an interval stops at the first that begins after its end.
    order: the intervals grouped by word, so that one row of pair_counts stays in the processor's cache.
    """
    for here in order:
        last = lasts[here]
        row = pair_counts[words[here]]
        row[words[here]] += last - firsts[here] + 1
        for there in range(here + 1, len(words)):
            if firsts[there] > last:
                break
            row[words[there]] += min(last, lasts[there]) - firsts[there] + 1


@njit(cache=True)
def join_halves(pair_counts: np.ndarray) -> None:
    """Make pair_counts (V, V) symmetric after the last add_pairs, as the sum of both halves."""
    num_words = len(pair_counts)
    for top in range(0, num_words, TILE):
        for left in range(top, num_words, TILE):
            for row_word in range(top, min(top + TILE, num_words)):
                for word in range(max(left, row_word + 1), min(left + TILE, num_words)):
                    both = pair_counts[row_word, word] + pair_counts[word, row_word]
                    pair_counts[row_word, word] = pair_counts[word, row_word] = both
