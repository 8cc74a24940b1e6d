"""Words found on arrays of bytes equal those that the pattern finds text by text."""

import re
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from made_settings import vocabulary

from topiclab.data.words import scan as word_scan
from topiclab.data.words.tokenizer import DEFAULT_PATTERNS, tokenize

PATTERN = re.compile(DEFAULT_PATTERNS["regex"])
SIGNS = [
    *"aZé ßİΣσ_09-'.,\n\t\0\x7f\xa0—…“”中文字ŐÅ\u0301\u0308\u2028\udc80\ufeff😀",
    "ﬁx",
    "cafe\u0301",
    "Ａｂｃ",
    "ΑΣ'ΑΣ",
    "naïve",
    "don't",
    "x2y",
    "foo_bar",
    "three",
    "Words",
    "\xff\xfe",
]


def by_pattern(texts, lowercase):
    found = []
    for text in texts:
        text = unicodedata.normalize("NFC", text)
        found.append(PATTERN.findall(text.lower() if lowercase else text))
    return found


def scanned(texts, lowercase):
    words, ids, offsets = word_scan.scan_words(texts, PATTERN, lowercase)
    assert ids.dtype == np.int32
    assert offsets.dtype == np.int64
    assert list(dict.fromkeys(ids.tolist())) == list(range(len(words)))  # numbered by first appearance
    return [[words[word] for word in ids[start:end]] for start, end in pairwise(offsets)]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("block", [1, 40, 1 << 20])
def test_words_are_those_of_the_pattern(lowercase, block, monkeypatch):
    monkeypatch.setattr(word_scan, "BLOCK_CHARACTERS", block)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(SIGNS, rng.integers(0, 60))) for _ in range(400)]
    texts += ["", "   ", "the cat and THE Dog", "words—glued—together", "\xff", "ends with", "x"]
    assert scanned(texts, lowercase) == by_pattern(texts, lowercase)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["- 12 _"]])
def test_texts_without_words_keep_their_place(texts):
    assert scanned(texts, True) == [[] for _ in texts]


def test_the_default_of_tokenize_is_the_same_with_its_pattern_spelled_out():
    texts = ["The café of the 3rd river, and a stone.", "", "Rivers—stones; the RIVER"]
    fast = tokenize(texts, vocabulary())
    slow = tokenize(texts, vocabulary(token_pattern=DEFAULT_PATTERNS["regex"]))
    assert fast.words == slow.words
    np.testing.assert_array_equal(fast.ids, slow.ids)
    np.testing.assert_array_equal(fast.offsets, slow.offsets)
