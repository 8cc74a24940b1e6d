"""Words: tokenisation, stop words, the choice of the vocabulary and sparse counts.

One pass of a compiled pattern per document; everything after it works on whole arrays.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

# Runs of letters that touch no digit or underscore. On English text: the words of \b[a-z]{3,}\b, plus words with
# accents. Jieba has found the words already, and two characters are a full Chinese word.
DEFAULT_PATTERNS = {"regex": r"\b[^\W\d_]{3,}\b", "jieba": r"[^\W\d_]{2,}"}


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
        """How often each document has each word: CSR (D, W) int32, sorted indices."""
        ones = np.ones(len(self.ids), dtype=np.int32)
        shape = (len(self.offsets) - 1, len(self.words))
        matrix = sparse.csr_matrix((ones, self.ids.copy(), self.offsets.copy()), shape=shape)
        matrix.sum_duplicates()
        return matrix

    def ngrams(self, length: int) -> Tokens:
        """Runs of `length` neighbouring tokens inside a document, joined by spaces."""
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


def tokenize(texts: Iterable[str], vocabulary: Mapping[str, Any]) -> Tokens:
    """Tokens of every text without stop words; vocabulary is the group `data.vocabulary`.

    Texts are put into Unicode form NFC first, so that both spellings of an accent are one word.
    """
    find = _finder(vocabulary["tokenizer"], vocabulary["token_pattern"])
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    ids, ends = array("i"), array("q", [0])
    for text in texts:
        text = unicodedata.normalize("NFC", text)
        ids.extend(map(index.__getitem__, find(text.lower() if vocabulary["lowercase"] else text)))
        ends.append(len(ids))
    words = list(index)
    tokens = Tokens(words, np.array(ids, dtype=np.int32), np.array(ends, dtype=np.int64))
    excluded = stop_words(vocabulary["stop_words"])
    return tokens.select(np.array([word not in excluded for word in words], dtype=bool))


def fit_vocabulary(texts: Sequence[str], vocabulary: Mapping[str, Any]) -> tuple[tuple[str, ...], Tokens]:
    """Choose the vocabulary of a corpus from all its documents.

    The `size` most frequent words of those within min_df and max_df, by descending total count, ties in
    alphabetical order. All documents, not only the training split: the words a corpus is described in are then
    the same for every split and every method, as in the published tables.
    Returns the V words and the tokens of the texts.
    Raises ValueError when fewer than two words are left.
    """
    tokens = tokenize(texts, vocabulary)
    lengths = _ngram_lengths(vocabulary)
    grams = [tokens.ngrams(length) for length in lengths]
    words = [word for gram in grams for word in gram.words]
    counts = [gram.counts() for gram in grams]
    totals = np.concatenate([np.bincount(c.indices, c.data, c.shape[1]) for c in counts]).astype(np.int64)
    in_docs = np.concatenate([np.bincount(c.indices, minlength=c.shape[1]) for c in counts])
    fewest = _documents("min_df", vocabulary["min_df"], len(texts))
    most = _documents("max_df", vocabulary["max_df"], len(texts))
    eligible = np.flatnonzero((in_docs >= max(fewest, 1)) & (in_docs <= most))
    chosen = sorted(eligible, key=lambda word: (-totals[word], words[word]))[: vocabulary["size"]]
    if len(chosen) < 2:
        raise ValueError(
            f"the vocabulary has {len(chosen)} words, but a topic needs at least 2: {len(texts)} documents hold "
            f"{np.count_nonzero(in_docs)} distinct words after stop words, {len(eligible)} of them in at least "
            f"{fewest:g} and at most {most:g} documents; lower data.vocabulary.min_df or raise max_df or size, "
            "or check token_pattern, tokenizer (jieba for Chinese) and stop_words"
        )
    return tuple(words[word] for word in chosen), tokens


def count(texts: Iterable[str], vocab: Sequence[str], vocabulary: Mapping[str, Any]) -> sparse.csr_matrix:
    """Counts of a known vocabulary in any texts: CSR (N, V) int32; unknown words are ignored."""
    return count_tokens(tokenize(texts, vocabulary), vocab, vocabulary)


def count_tokens(tokens: Tokens, vocab: Sequence[str], vocabulary: Mapping[str, Any]) -> sparse.csr_matrix:
    """Counts (D, V) int32 of the vocabulary's words and n-grams in tokenised documents."""
    shape = (len(tokens.offsets) - 1, len(vocab))
    bow = sparse.csr_matrix(shape, dtype=np.int32)
    for length in _ngram_lengths(vocabulary):
        gram = tokens.ngrams(length)
        column = columns(gram.words, vocab)
        known = gram.select(column >= 0)
        found = Tokens(list(vocab), column[known.ids], known.offsets)
        bow = bow + found.counts()
    bow = sparse.csr_matrix(bow, dtype=np.int32)
    bow.sort_indices()
    return bow


def columns(words: Sequence[str], vocab: Sequence[str]) -> np.ndarray:
    """Column of each word in the vocabulary: (W,) int32, -1 for unknown words."""
    index = {word: column for column, word in enumerate(vocab)}
    return np.array([index.get(word, -1) for word in words], dtype=np.int32)


def stop_words(language: str | None) -> frozenset[str]:
    """The stop words of a language, lower case; `none` is the empty set.

    english is scikit-learn's list; the other languages come from the package stop-words (extra `languages`).
    """
    if language in (None, "none"):
        return frozenset()
    if language == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return ENGLISH_STOP_WORDS
    try:
        from stop_words import AVAILABLE_LANGUAGES, LANGUAGE_MAPPING, get_stop_words
    except ImportError as error:
        raise ImportError(
            f"data.vocabulary.stop_words={language} needs the package stop-words: pip install 'topiclab[languages]', "
            "or use stop_words=english or stop_words=none"
        ) from error
    known = {*AVAILABLE_LANGUAGES, *LANGUAGE_MAPPING}
    if language not in known:
        names = sorted({"none", "english", *AVAILABLE_LANGUAGES})
        raise ValueError(f"data.vocabulary.stop_words={language} is unknown; available: {', '.join(names)}")
    return frozenset(word.lower() for word in get_stop_words(language))


def _finder(tokenizer: str, token_pattern: str | None) -> Callable[[str], list[str]]:
    """The function from a text to its words."""
    if tokenizer not in DEFAULT_PATTERNS:
        raise ValueError(
            f"data.vocabulary.tokenizer={tokenizer} is unknown; use {' or '.join(DEFAULT_PATTERNS)}"
        )
    try:
        pattern = re.compile(token_pattern or DEFAULT_PATTERNS[tokenizer])
    except re.error as error:
        raise ValueError(
            f"data.vocabulary.token_pattern={token_pattern} is no regular expression ({error}); null is the default"
        ) from error
    if pattern.groups > 1:
        raise ValueError(
            f"data.vocabulary.token_pattern={token_pattern} has {pattern.groups} groups, at most one can be the "
            "word; write the others as (?:...)"
        )
    if tokenizer == "regex":
        return pattern.findall
    try:
        import jieba
    except ImportError as error:
        raise ImportError(
            "data.vocabulary.tokenizer=jieba needs the package jieba: pip install 'topiclab[chinese]'"
        ) from error
    jieba.setLogLevel("WARNING")
    return lambda text: [word for word in jieba.lcut(text) if pattern.fullmatch(word)]


def _ngram_lengths(vocabulary: Mapping[str, Any]) -> range:
    shortest, longest = vocabulary["ngrams"]
    if not 1 <= shortest <= longest:
        raise ValueError(
            f"data.vocabulary.ngrams=[{shortest},{longest}] must be [shortest,longest] with 1 <= shortest <= longest"
        )
    return range(shortest, longest + 1)


def _documents(key: str, limit: float, num_docs: int) -> float:
    """A limit on document frequency as a number of documents: an int is one, a float a share of num_docs."""
    if isinstance(limit, float):
        if not 0 <= limit <= 1:
            raise ValueError(
                f"data.vocabulary.{key}={limit} is a share of the documents and must lie in 0..1"
            )
        return limit * num_docs
    if limit < 0:
        raise ValueError(f"data.vocabulary.{key}={limit} is a number of documents and must not be negative")
    return limit
