"""Tokens: texts as numbered words without stop words, and n-grams of them.

Words of the default pattern are found on arrays of bytes (`scan_words`), others by one pass of a compiled
pattern per document; all later steps work on whole arrays.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from scipy import sparse

from topiclab.data.words.letters import ASCII_LETTERS, ASCII_WORD, WORD
from topiclab.data.words.normal_form import normal, read
from topiclab.data.words.scan import scan_words
from topiclab.data.words.stop_words import StopWords, stop_words
from topiclab.settings import Vocabulary

TOKENIZERS = ("regex", "jieba")
VERSION = 2  # of what a word is, for cache keys: raise it when the same options give other words


@dataclass(frozen=True)
class Tokens:
    """The tokens of D documents in text order, as numbers.

    words: W distinct tokens.  ids: (T,) int32 index into words.
    offsets: (D + 1,) int64, document d owns ids[offsets[d]:offsets[d + 1]].
    """

    words: list[str]
    ids: np.ndarray
    offsets: np.ndarray

    def select(self, is_kept: np.ndarray) -> Tokens:
        """Drop the tokens whose word is not kept; is_kept: (W,) bool. Word numbers stay as they are."""
        kept = is_kept[self.ids]
        offsets = np.concatenate([[0], np.cumsum(kept)])[self.offsets]
        return Tokens(self.words, self.ids[kept], offsets)

    def counts(self) -> sparse.csr_matrix:
        """Number of occurrences of each word in each document: CSR (D, W) int32, sorted indices."""
        ones = np.ones(len(self.ids), dtype=np.int32)
        shape = (len(self.offsets) - 1, len(self.words))
        matrix = sparse.csr_matrix((ones, self.ids.copy(), self.offsets.copy()), shape=shape)
        matrix.sum_duplicates()
        return matrix

    def ngrams(self, length: int) -> Tokens:
        """Runs of `length` adjacent tokens within a document, joined by spaces."""
        words, ids, offsets = self.words, self.ids, self.offsets
        for step in range(1, length):
            # A run that would leave its document is always the last run of that document.
            sizes = np.diff(offsets)
            starts = np.ones(len(ids), dtype=bool)
            starts[offsets[1:][sizes > 0] - 1] = False
            offsets = np.concatenate([[0], np.cumsum(np.maximum(sizes - 1, 0))])
            document = np.repeat(np.arange(len(sizes)), np.maximum(sizes - 1, 0))
            following = np.arange(len(document)) - offsets[document] + self.offsets[document] + step
            pairs = ids[starts].astype(np.int64) * len(self.words) + self.ids[following]
            pairs, ids = np.unique(pairs, return_inverse=True)
            heads, tails = np.divmod(pairs, max(len(self.words), 1))
            words = [f"{words[head]} {self.words[tail]}" for head, tail in zip(heads, tails, strict=True)]
        return Tokens(words, ids.astype(np.int32), offsets)


def tokenize(texts: Iterable[str], vocabulary: Vocabulary) -> Tokens:
    """Tokens of every text without stop words; vocabulary is the group `data.vocabulary`.

    Texts are put into the form of `normal` first, so that both spellings of an accent are one word.
    """
    excluded = _excluded(vocabulary)
    if vocabulary.tokenizer == "regex" and vocabulary.token_pattern is None:
        find = word_finder(excluded)
        has_contractions = excluded.contractions is not None
        tokens = Tokens(*scan_words(texts, find, vocabulary.lowercase, has_contractions))
        return tokens.select(_is_kept(tokens.words, bool, excluded))
    find, _, is_word = _finder(vocabulary.tokenizer, vocabulary.token_pattern)
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    ids, ends = array("i"), array("q", [0])
    for text in texts:
        text = excluded.without_contractions(normal(text, vocabulary.lowercase))
        ids.extend(map(index.__getitem__, find(text)))
        ends.append(len(ids))
    tokens = Tokens(list(index), np.array(ids, dtype=np.int32), np.array(ends, dtype=np.int64))
    return tokens.select(_is_kept(tokens.words, is_word, excluded))


def tokenize_in_place(texts: Iterable[str], vocabulary: Vocabulary) -> tuple[Tokens, np.ndarray]:
    """Tokens of `tokenize`, and their character ranges in the original texts: (T, 2) int64 from, to.

    Characters that NFC or lower-casing merges or splits belong to a token as a whole.
    """
    excluded = _excluded(vocabulary)
    _, find_spans, is_word = _finder(vocabulary.tokenizer, vocabulary.token_pattern)
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    ids, ends, spans = array("i"), array("q", [0]), array("q")
    for text in texts:
        reading = read(text, vocabulary.lowercase)
        for start, stop in find_spans(excluded.without_contractions(reading.text)):
            ids.append(index[reading.text[start:stop]])
            spans.extend(reading.source(start, stop))
        ends.append(len(ids))
    tokens = Tokens(list(index), np.array(ids, dtype=np.int32), np.array(ends, dtype=np.int64))
    is_kept = _is_kept(tokens.words, is_word, excluded)
    return tokens.select(is_kept), np.array(spans, dtype=np.int64).reshape(-1, 2)[is_kept[tokens.ids]]


def _excluded(vocabulary: Vocabulary) -> StopWords:
    chosen = vocabulary.stop_words
    return stop_words(
        chosen if chosen is None or isinstance(chosen, str) else tuple(chosen),
        tuple(vocabulary.domain_words or ()),
    )


def _is_kept(words: list[str], is_word: Callable[[str], bool], excluded: StopWords) -> np.ndarray:
    is_kept = ~excluded.holds(words)
    return is_kept if is_word is bool else is_kept & np.array([is_word(word) for word in words], dtype=bool)


def word_finder(excluded: StopWords) -> Callable[[str], list[str]]:
    """The default pattern without contractions; in ASCII a short pattern finds the same."""
    find, find_ascii = re.compile(WORD).findall, ASCII_WORD.findall

    def words(text: str) -> list[str]:
        if not text.isascii():
            return find(excluded.without_contractions(text))
        if text.isalpha():
            return [text] if len(text) >= ASCII_LETTERS else []
        return find_ascii(excluded.without_contractions(text) if "'" in text else text)

    return words


def _finder(
    tokenizer: str, token_pattern: str | None
) -> tuple[Callable[[str], list[str]], Callable[[str], Iterable[tuple[int, int]]], Callable[[str], bool]]:
    """Functions from a text to its tokens and to their ranges, and the test of whether a token is a word."""
    if tokenizer not in TOKENIZERS:
        raise ValueError(f"data.vocabulary.tokenizer={tokenizer} is unknown; use {' or '.join(TOKENIZERS)}")
    try:
        pattern = re.compile(token_pattern or WORD)
    except re.error as error:
        raise ValueError(
            f"data.vocabulary.token_pattern={token_pattern} is not a regular expression ({error}); "
            "null is the default"
        ) from error
    if pattern.groups > 1:
        raise ValueError(
            f"data.vocabulary.token_pattern={token_pattern} has {pattern.groups} groups, but at most one can "
            "be the word; write the others as (?:...)"
        )
    if tokenizer == "regex":
        group = pattern.groups  # 0 is the whole match

        def word_spans(text: str) -> Iterable[tuple[int, int]]:
            chosen = ASCII_WORD if token_pattern is None and text.isascii() else pattern
            return (found.span(group) for found in chosen.finditer(text))

        return pattern.findall, word_spans, bool
    try:
        import jieba
    except ImportError as error:
        raise ImportError(
            "data.vocabulary.tokenizer=jieba needs the package jieba: pip install 'topiclab[chinese]'"
        ) from error
    jieba.setLogLevel("WARNING")

    def spans(text: str) -> Iterable[tuple[int, int]]:
        bounds = [0, *accumulate(map(len, jieba.lcut(text)))]
        return pairwise(bounds)

    return jieba.lcut, spans, lambda word: pattern.fullmatch(word) is not None
