"""Tokens, vocabulary and counts, against scikit-learn's CountVectorizer on real text."""

import builtins
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_settings import vocabulary
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from topiclab.data.sources.corpora import corpus_from_texts, lee_path
from topiclab.data.words.letters import WORD
from topiclab.data.words.stop_words import stop_words
from topiclab.data.words.tokenizer import tokenize
from topiclab.data.words.vocabulary import columns, count, count_tokens, fit_vocabulary, texts_of_known_words
from topiclab.settings import Split

DEFAULTS = vocabulary()
CONTRACTION = re.compile(r"\b\w+n't\b|\blet's\b|(?<=\w)'(?:ll|ve|re)\b", re.IGNORECASE)
CHINESE = [
    "我来到北京清华大学学习自然语言处理",
    "清华大学的学生学习机器学习模型",
    "北京的天气今天很好，我们去公园",
    "公园的天气很好，学生去公园学习",
]


@pytest.fixture(scope="module")
def lee() -> list[str]:
    return lee_path().read_text(encoding="utf-8").splitlines()


def fit_and_count(texts: list[str], **changes: object) -> tuple[tuple[str, ...], np.ndarray]:
    vocabulary = replace(DEFAULTS, **changes)
    vocab, tokens = fit_vocabulary(texts, vocabulary)
    return vocab, count_tokens(tokens, vocab, vocabulary).toarray()


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 10**6},
        {"size": 10**6, "min_df": 5, "max_df": 60},
        {"size": 10**6, "min_df": 0.01, "max_df": 0.1},
        {"size": 10**6, "lowercase": False, "stop_words": "none", "max_df": 1.0},
        {"size": 10**6, "ngrams": [1, 3]},
        {"size": 10**6, "ngrams": [2, 2]},
        {"size": 10**6, "token_pattern": r"(?u)\b\w\w+\b"},
    ],
    ids=str,
)
def test_counts_are_those_of_count_vectorizer(lee: list[str], changes: dict[str, object]) -> None:
    settings = replace(DEFAULTS, **changes)
    oracle = CountVectorizer(
        lowercase=settings.lowercase,
        token_pattern=settings.token_pattern or WORD,
        stop_words=None if settings.stop_words == "none" else "english",
        min_df=settings.min_df,
        max_df=settings.max_df,
        ngram_range=tuple(settings.ngrams),
    )
    is_kept = settings.stop_words == "none"
    expected = oracle.fit_transform([text if is_kept else CONTRACTION.sub(" ", text) for text in lee])
    vocab, bow = fit_and_count(lee, **changes)
    assert sorted(vocab) == list(oracle.get_feature_names_out())
    np.testing.assert_array_equal(bow, expected.toarray()[:, [oracle.vocabulary_[word] for word in vocab]])


def test_vocabulary_is_the_most_frequent_words_then_the_alphabet(lee: list[str]) -> None:
    full, bow = fit_and_count(lee, size=10**6)
    totals = bow.sum(0)
    assert list(full) == sorted(full, key=lambda word: (-totals[full.index(word)], word))
    assert fit_and_count(lee, size=500)[0] == full[:500]


def test_default_pattern_finds_the_ascii_words_of_english_news(lee: list[str]) -> None:
    ascii_words = fit_and_count(lee, token_pattern=r"\b[a-z]{3,}\b")
    assert fit_and_count(lee)[0] == ascii_words[0]
    np.testing.assert_array_equal(fit_and_count(lee)[1], ascii_words[1])


def test_tokens_are_in_text_order_without_stop_words() -> None:
    texts = ["The cat saw the dog", "of the", "Dog bites cat, x9 and cat_tail"]
    tokens = tokenize(texts, DEFAULTS)
    words = [tokens.words[i] for i in tokens.ids]
    assert words == ["cat", "saw", "dog", "dog", "bites", "cat"]
    assert tokens.offsets.tolist() == [0, 3, 3, 6]
    assert columns(["dog", "unknown"], ["cat", "dog"]).tolist() == [1, -1]


@given(st.lists(st.text(alphabet="abc ", max_size=20), min_size=1, max_size=6), st.integers(1, 4))
def test_ngrams_never_cross_documents(texts: list[str], length: int) -> None:
    tokens = tokenize(texts, replace(DEFAULTS, token_pattern="[abc]", stop_words="none"))
    grams = tokens.ngrams(length)
    for row, text in enumerate(texts):
        letters = text.replace(" ", "")
        expected = [" ".join(letters[i : i + length]) for i in range(len(letters) - length + 1)]
        found = [grams.words[i] for i in grams.ids[grams.offsets[row] : grams.offsets[row + 1]]]
        assert found == expected


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_unicode_is_counted_word_by_word(texts: list[str]) -> None:
    settings = replace(DEFAULTS, token_pattern=r"\w+", stop_words="none")
    tokens = tokenize(texts, settings)
    bow = count_tokens(tokens, tokens.words, settings)
    assert bow.dtype == np.int32
    assert bow.has_sorted_indices
    assert bow.sum(axis=1).ravel().tolist()[0] == np.diff(tokens.offsets).tolist()


def test_unseen_documents_are_counted_as_the_corpus_was(lee: list[str]) -> None:
    settings = replace(DEFAULTS, ngrams=[1, 2])
    vocab, bow = fit_and_count(lee, ngrams=[1, 2])
    some = [7, 3, 250]
    np.testing.assert_array_equal(count([lee[i] for i in some], vocab, settings).toarray(), bow[some])
    assert count(["zzz qqq", ""], vocab, settings).sum() == 0
    assert count([], vocab, settings).shape == (0, len(vocab))


@pytest.mark.parametrize("ngrams", [[1, 1], [1, 2]], ids=str)
def test_known_words_of_a_corpus_are_those_of_its_texts_as_unseen_ones(
    lee: list[str], ngrams: list[int]
) -> None:
    lines = ["... 42", "the of and", *lee[:40]]
    corpus = corpus_from_texts(lines, split=Split(val=0, test=0), vocabulary=replace(DEFAULTS, ngrams=ngrams))
    reduced = corpus.with_known_words()
    assert reduced.texts[:2] == ("", "")
    assert texts_of_known_words(lines, corpus.vocab, replace(DEFAULTS, ngrams=ngrams)) == list(reduced.texts)
    single = [column for column, word in enumerate(corpus.vocab) if " " not in word]
    vocab = [corpus.vocab[column] for column in single]
    counted = count(reduced.texts, vocab, DEFAULTS).toarray()
    np.testing.assert_array_equal(counted, corpus.bow.toarray()[:, single])


def test_both_spellings_of_an_accent_are_one_word() -> None:
    vocab, bow = fit_and_count(["caf\u00e9 noir", "cafe\u0301 noir"], max_df=1.0)
    assert vocab == ("caf\u00e9", "noir")
    assert bow.tolist() == [[1, 1], [1, 1]]


def test_chinese_is_cut_by_jieba() -> None:
    vocab, bow = fit_and_count(CHINESE, tokenizer="jieba", stop_words="none", max_df=1.0)
    assert {"学习", "清华大学", "北京", "公园", "天气", "学生"} <= set(vocab)
    assert all(len(word) >= 2 for word in vocab)
    assert bow[:, vocab.index("公园")].tolist() == [0, 0, 1, 2]


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_missing_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "jieba")
    with pytest.raises(ImportError, match=r"topiclab\[chinese\]"):
        fit_and_count(CHINESE, tokenizer="jieba")
    without(monkeypatch, "stop_words")
    with pytest.raises(ImportError, match=r"topiclab\[languages\]"):
        stop_words("german")


def test_stop_words_by_language() -> None:
    assert stop_words("none").words == stop_words(None).words == frozenset()
    assert stop_words("english").words >= ENGLISH_STOP_WORDS
    pytest.importorskip("stop_words", reason="needs the extra languages")
    assert {"und", "nicht"} <= stop_words("german").words
    with pytest.raises(ValueError, match=r"stop_words=klingon.*available: .*english.*none"):
        stop_words("klingon")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "spacy"}, "tokenizer=spacy is unknown; use regex or jieba"),
        ({"token_pattern": "["}, "not a regular expression"),
        ({"token_pattern": "(a)(b)"}, "has 2 groups"),
        ({"ngrams": [2, 1]}, "1 <= shortest <= longest"),
        ({"min_df": 1.5}, "min_df=1.5 is a share"),
        ({"max_df": -1}, "max_df=-1 .* must not be negative"),
        ({"min_df": 3}, "0 words.*2 distinct words.*lower data.vocabulary.min_df"),
        ({"token_pattern": "x+"}, "check token_pattern"),
        ({"size": 1, "max_df": 1.0}, "has 1 words"),
    ],
    ids=str,
)
def test_a_vocabulary_that_cannot_be_says_what_to_change(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_and_count(["cat dog", "cat dog"], **changes)
