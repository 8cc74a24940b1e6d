"""Vocabulary: the choice of a corpus's words and their sparse counts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from topiclab.data.corpus import known_words
from topiclab.data.words.tokenizer import Tokens, tokenize
from topiclab.data.words.unspaced import advice
from topiclab.settings import Vocabulary

log = logging.getLogger(__name__)


def fit_vocabulary(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[tuple[str, ...], Tokens]:
    """Choose the vocabulary of a corpus from all its documents.

    It holds the `size` most frequent words of those within min_df and max_df, by descending total count, ties
    in alphabetical order. All documents count, not only the training split: the words that describe a corpus
    are then the same for every split and every method, as in the published tables.
    Returns the V words and the tokens of the texts.
    Raises ValueError when fewer than two words are left.
    """
    tokens = tokenize(texts, vocabulary)
    grams = [tokens.ngrams(length) for length in ngram_lengths(vocabulary)]
    words = [word for gram in grams for word in gram.words]
    totals = np.concatenate([np.bincount(gram.ids, minlength=len(gram.words)) for gram in grams])
    in_docs = np.concatenate([np.bincount(g.counts().indices, minlength=len(g.words)) for g in grams])
    fewest = _documents("min_df", vocabulary.min_df, len(texts))
    most = _documents("max_df", vocabulary.max_df, len(texts))
    eligible = np.flatnonzero((in_docs >= max(fewest, 1)) & (in_docs <= most))
    chosen = sorted(eligible, key=lambda word: (-totals[word], words[word]))[: vocabulary.size]
    told = advice(texts, vocabulary.tokenizer)
    if len(chosen) < 2:
        raise ValueError(
            f"the vocabulary has {len(chosen)} words, but a topic needs at least 2: {len(texts)} documents "
            f"hold {len(words)} distinct words after stop words, {len(eligible)} of them in at least "
            f"{fewest:g} and at most {most:g} documents; "
            + (
                told
                or "lower data.vocabulary.min_df, raise max_df or size, or check token_pattern and stop_words"
            )
        )
    if told and vocabulary.token_pattern is None:
        log.warning("%s", told)
    return tuple(words[word] for word in chosen), tokens


def count(texts: Iterable[str], vocab: Sequence[str], vocabulary: Vocabulary) -> sparse.csr_matrix:
    """Counts of a known vocabulary in any texts: CSR (N, V) int32; unknown words are ignored."""
    return count_tokens(tokenize(texts, vocabulary), vocab, vocabulary)


def count_tokens(tokens: Tokens, vocab: Sequence[str], vocabulary: Vocabulary) -> sparse.csr_matrix:
    """Counts (D, V) int32 of the vocabulary's words and n-grams in tokenised documents."""
    shape = (len(tokens.offsets) - 1, len(vocab))
    bow = sparse.csr_matrix(shape, dtype=np.int32)
    for length in ngram_lengths(vocabulary):
        gram = tokens.ngrams(length)
        column = columns(gram.words, vocab)
        known = gram.select(column >= 0)
        found = Tokens(list(vocab), column[known.ids], known.offsets)
        bow = bow + found.counts()
    bow = sparse.csr_matrix(bow, dtype=np.int32)
    bow.sort_indices()
    return bow


def texts_of_known_words(texts: Iterable[str], vocab: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Texts reduced to the words of a known vocabulary, as `Corpus.with_known_words` reduces its own."""
    tokens = tokenize(texts, vocabulary)
    return known_words(vocab, columns(tokens.words, vocab)[tokens.ids], tokens.offsets)


def columns(words: Sequence[str], vocab: Sequence[str]) -> np.ndarray:
    """Column of each word in the vocabulary: (W,) int32, -1 for unknown words."""
    index = {word: column for column, word in enumerate(vocab)}
    return np.array([index.get(word, -1) for word in words], dtype=np.int32)


def ngram_lengths(vocabulary: Vocabulary) -> range:
    """Numbers of tokens that a vocabulary word may have; ValueError for an invalid range."""
    shortest, longest = vocabulary.ngrams
    if not 1 <= shortest <= longest:
        raise ValueError(
            f"data.vocabulary.ngrams=[{shortest},{longest}] must be [shortest,longest] "
            "with 1 <= shortest <= longest"
        )
    return range(shortest, longest + 1)


def _documents(key: str, limit: float, num_docs: int) -> float:
    """A limit on document frequency as a number of documents: an int is that number, a float a share."""
    if isinstance(limit, float):
        if not 0 <= limit <= 1:
            raise ValueError(
                f"data.vocabulary.{key}={limit} is a share of the documents and must lie in 0..1"
            )
        return limit * num_docs
    if limit < 0:
        raise ValueError(f"data.vocabulary.{key}={limit} is a number of documents and must not be negative")
    return limit
