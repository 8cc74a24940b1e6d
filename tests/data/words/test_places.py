"""Positions of words in raw texts: the same tokens as the counts, at the characters they come from."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_settings import vocabulary

from topiclab.data.sources.corpora import lee_path
from topiclab.data.words.normal_form import normal, read
from topiclab.data.words.places import find_words
from topiclab.data.words.tokenizer import tokenize, tokenize_in_place
from topiclab.data.words.vocabulary import count, fit_vocabulary
from topiclab.embed.lsa import words

SETTINGS = vocabulary(min_df=1, max_df=1.0)
MARKS = "a\u0301\u0327\u1100\u1161\u11a8\u09c7\u09beİßΣÅ Ab_9e\u0307iJ\u030c\u200dм'яא\""
ALIKE = str.maketrans("ς\u02bc\u05f3\u05f4", "σ''\"")
IN_CONTEXT = "ςσ\u02bc\u05f3\u05f4"  # characters that depend on their neighbours


@given(st.text(MARKS, max_size=30), st.booleans())
def test_every_character_read_is_traced_to_what_it_comes_from(text: str, lowercase: bool) -> None:
    reading = read(text, lowercase)
    assert reading.text == normal(text, lowercase)
    for place in range(len(reading.text)):
        start, stop = reading.source(place, place + 1)
        again = normal(text[start:stop], lowercase)
        assert reading.text[place] in again or reading.text[place] in IN_CONTEXT


@given(
    st.lists(st.text(MARKS, max_size=30), max_size=4),
    st.booleans(),
    st.sampled_from([None, r"\b([^\W\d_]+)\b"]),
)
def test_tokens_in_place_are_the_tokens(texts: list[str], lowercase: bool, pattern: str | None) -> None:
    settings = replace(SETTINGS, lowercase=lowercase, token_pattern=pattern, stop_words="none")
    tokens, spans = tokenize_in_place(texts, settings)
    plain = tokenize(texts, settings)
    assert [tokens.words[token] for token in tokens.ids] == [plain.words[token] for token in plain.ids]
    np.testing.assert_array_equal(tokens.offsets, plain.offsets)
    docs = np.repeat(np.arange(len(texts)), np.diff(tokens.offsets))
    for doc, token, (start, stop) in zip(docs, tokens.ids, spans, strict=True):
        source = normal(texts[doc][start:stop], lowercase).translate(ALIKE)
        assert tokens.words[token].translate(ALIKE) in source


@pytest.mark.parametrize("ngrams", [[1, 1], [1, 3], [2, 2]], ids=str)
def test_places_are_as_many_as_the_counts(ngrams: list[int]) -> None:
    texts = [*lee_path().read_text(encoding="utf-8").splitlines()[:60], "", "fires fires"]
    settings = replace(SETTINGS, ngrams=ngrams)
    vocab, _ = fit_vocabulary(texts, settings)
    places = find_words(texts, vocab, settings)
    found = np.zeros((len(texts), len(vocab)), int)
    np.add.at(found, (places.docs, places.words), 1)
    np.testing.assert_array_equal(found, count(texts, vocab, settings).toarray())
    for doc, word, start, stop in zip(places.docs, places.words, places.starts, places.stops, strict=True):
        inside = [each for each in words(texts[doc][start:stop]) if each in vocab[word].split()]
        assert inside == vocab[word].split()
    part = places.of_docs(10, 20)
    np.testing.assert_array_equal(part.words, places.words[places.offsets[10] : places.offsets[20]])
    assert part.num_docs == 10
    assert set(part.docs) <= set(range(10))
