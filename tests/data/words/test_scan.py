"""Words found on arrays of bytes equal those that the pattern finds text by text."""

import re
from itertools import pairwise

import numpy as np
import pytest
from made_settings import vocabulary

from topiclab.data.words import scan as word_scan
from topiclab.data.words.letters import WORD
from topiclab.data.words.normal_form import normal
from topiclab.data.words.stop_words import stop_words
from topiclab.data.words.tokenizer import tokenize, word_finder

PATTERN = re.compile(WORD)
SIGNS = [
    *"aZé ßİΣσ_09-'.,\n\t\0\x7f\xa0—…“”中文字ŐÅ\u0301\u0308\u2028\udc80\ufeff😀",
    "ﬁx",
    "cafe\u0301",
    "Ａｂｃ",
    "ΑΣ'ΑΣ",
    "naïve",
    "don't",
    "won\u2019t",
    "'ll",
    "\u0915\u093f\u0924\u093e\u092c",  # Hindi, with two vowel signs
    "\u0e19\u0e49\u0e33",
    "\u200c",
    "\u200d",
    "\u043c'\u044f\u0447",  # Ukrainian, with an apostrophe
    "x2y",
    "foo_bar",
    "three",
    "Words",
    "\xff\xfe",
]


def by_pattern(texts, lowercase, excluded):
    read = (excluded.without_contractions(normal(text, lowercase)) for text in texts)
    return [PATTERN.findall(text) for text in read]


def scanned(texts, lowercase, excluded):
    has_contractions = excluded.contractions is not None
    words, ids, offsets = word_scan.scan_words(texts, word_finder(excluded), lowercase, has_contractions)
    assert ids.dtype == np.int32
    assert offsets.dtype == np.int64
    assert list(dict.fromkeys(ids.tolist())) == list(range(len(words)))  # numbered by first appearance
    return [[words[word] for word in ids[start:end]] for start, end in pairwise(offsets)]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("language", ["english", "none"])
@pytest.mark.parametrize("block", [1, 40, 1 << 20])
def test_words_are_those_of_the_pattern(lowercase, language, block, monkeypatch):
    monkeypatch.setattr(word_scan, "BLOCK_CHARACTERS", block)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(SIGNS, rng.integers(0, 60))) for _ in range(400)]
    texts += ["", "   ", "the cat and THE Dog", "words—glued—together", "\xff", "ends with", "x"]
    excluded = stop_words(language)
    assert scanned(texts, lowercase, excluded) == by_pattern(texts, lowercase, excluded)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["- 12 _"]])
def test_texts_without_words_keep_their_place(texts):
    assert scanned(texts, True, stop_words("english")) == [[] for _ in texts]


def test_the_default_of_tokenize_is_the_same_with_its_pattern_spelled_out():
    texts = ["The café of the 3rd river, and a stone.", "", "Rivers—stones; the RIVER"]
    fast = tokenize(texts, vocabulary())
    slow = tokenize(texts, vocabulary(token_pattern=WORD))
    assert fast.words == slow.words
    np.testing.assert_array_equal(fast.ids, slow.ids)
    np.testing.assert_array_equal(fast.offsets, slow.offsets)
