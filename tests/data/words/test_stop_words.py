"""Stop words: contractions in place, languages and own words mixed, files, and misspelt languages."""

import logging

import pytest
from made_settings import vocabulary

from topiclab.config.compose import ConfigError, compose
from topiclab.config.identity import changed_keys
from topiclab.data.words.stop_words import names, stop_words
from topiclab.data.words.tokenizer import tokenize
from topiclab.settings import Vocabulary


def words(text, stop, **changes):
    tokens = tokenize([text], vocabulary(stop_words=stop, **changes))
    return [tokens.words[word] for word in tokens.ids]


@pytest.mark.parametrize("apostrophe", "'\u2019\u02bc\u2018")
@pytest.mark.parametrize("pattern", [None, r"\b\w\w+\b", r"[\w'’]{3,}"])
def test_contractions_are_stop_words_and_their_parts_remain_words(apostrophe, pattern):
    text = "They won the match and won't, DON'T didn't, let's; they'll let Don win, it doesn't shouldn't've"
    found = words(text.replace("'", apostrophe), "english", token_pattern=pattern)
    assert found == ["won", "match", "let", "don", "win"]


def test_contractions_stay_without_stop_words():
    assert words("they won't", "none") == ["they", "won"]


def test_what_a_broken_apostrophe_leaves_is_a_stop_word():
    assert words("didn t doesn`t isn&#39;t", "english") == []


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("french", "Lorsqu'il l’homme d'abord, jusqu'à aujourd'hui", ["homme", "abord"]),
        ("italian", "dell'arte, sull’isola, un'idea", ["arte", "isola", "idea"]),
        ("turkish", "Ankara'nın İstanbul’dan altmış", ["ankara", "istanbul"]),
        ("ukrainian", "дев'ять дев’ять комп'ютер", ["компʼютер"]),
        ("hebrew", "אשר אֲשֶׁר שולחן", ["שולחן"]),
        ("arabic", "الَّذِي كِتَاب", ["كِتَاب"]),
        ("hindi", "नहीं इन्हें किसान", ["किसान"]),
        ("hungarian", "elő előtt ház", ["ház"]),
        ("slovak", "alebo dom", ["dom"]),
    ],
)
def test_lists_match_as_the_tokenizer_leaves_words(language, text, expected):
    pytest.importorskip("stop_words", reason="needs the extra languages")
    assert words(text, language) == expected


def test_chinese_is_a_real_list_without_any_package():
    pytest.importorskip("jieba", reason="needs the extra chinese")
    text = "我们可以通过这个问题学习因为他们没有什么但是自己已经知道"
    assert words(text, "chinese", tokenizer="jieba") == ["问题", "学习"]
    assert stop_words("zh") == stop_words("chinese")


def test_languages_words_and_files_mix(tmp_path):
    file = tmp_path / "stop.txt"
    file.write_text("# greetings\nDear\n\nregards | at the end\nGerman\n", encoding="utf-8-sig")
    text = "dear team regards und the house german"
    own = f"data.vocabulary.stop_words=[english,team,'{file}']"
    chosen = Vocabulary.of(compose([own])["data"]["vocabulary"])
    assert chosen.domain_words == ("Dear", "regards", "German")
    found = tokenize([text], chosen)
    assert found.words[found.ids[0]] == "und"
    assert len(found.ids) == 2
    alone = compose([f"data.vocabulary.stop_words={file}"])["data"]["vocabulary"]
    assert alone["stop_words"] == "none"
    pytest.importorskip("stop_words", reason="needs the extra languages")
    assert words(text, ("english", "german", "TEAM")) == ["dear", "regards", "house", "german"]


def test_the_words_of_a_file_are_the_identity_of_a_cell(tmp_path):
    file = tmp_path / "stop.txt"
    file.write_text("dear\n")
    first = compose([f"data.vocabulary.stop_words={file}"])
    copy = tmp_path / "copy.txt"
    copy.write_text("dear\n")
    assert not changed_keys(first, compose([f"data.vocabulary.stop_words={copy}"]))
    file.write_text("dear\nteam\n")
    assert "domain_words" in changed_keys(first, compose([f"data.vocabulary.stop_words={file}"]))[0]


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "no such file"), (b"dear team\n", "line 1 holds 2 words"), (b"\xe9t\xe9\n", "not UTF-8")],
)
def test_a_file_that_cannot_be_read_says_why(content, fault, tmp_path):
    if content is not None:
        (tmp_path / "stop.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=fault):
        compose([f"data.vocabulary.stop_words={tmp_path / 'stop.txt'}"])


def test_a_misspelt_language_is_refused_alone_and_warned_of_in_a_list(caplog):
    with pytest.raises(ValueError, match="englich is unknown; did you mean english"):
        stop_words("englich")
    with caplog.at_level(logging.WARNING):
        assert "englich" in stop_words(("englich", "dear")).words
    assert "the language is english" in caplog.text
    with pytest.raises(ValueError, match="'dear team' is not one word"):
        stop_words(("english", "dear team"))


def test_no_list_of_a_language_has_marks_at_the_edge_of_a_word():
    pytest.importorskip("stop_words", reason="needs the extra languages")
    for language in names():
        assert not [word for word in stop_words(language).words if word != word.strip('",\ufeff.')]
        assert "" not in stop_words(language).words
