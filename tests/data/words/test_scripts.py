"""Words of all scripts: marks stay with their letter, and the least length goes by script."""

import logging
import re
import unicodedata

import pytest
from made_settings import vocabulary

from topiclab.data.words.places import find_words
from topiclab.data.words.tokenizer import tokenize
from topiclab.data.words.vocabulary import fit_vocabulary

PLAIN = vocabulary(stop_words="none", min_df=1, max_df=1.0)
WORDS = {
    "hindi": "क्रिकेट किसान न्यायालय बीज खेती खिलाड़ी काफ़ी",
    "bengali": "ভাষা খেলোয়াড় বিশ্ববিদ্যালয় নদী",
    "tamil": "தமிழ் கிரிக்கெட் மொழி பள்ளி",
    "malayalam": "അവന്\u200d കേരളം",
    "thai, cut beforehand": "น้ำ บ้าน ฟุตบอล คน",
    "khmer, cut by zero-width spaces": "ភាសា\u200bខ្មែរ\u200bសាលា",
    "vowelled arabic": "كِتَابٌ مَدْرَسَة",
    "persian with zero-width non-joiners": "می\u200cخواهم کتاب\u200cها",
    "vowelled hebrew": "שָׁלוֹם עוֹלָם",
    "yoruba": "ẹ\u0300kọ\u0301 ọjọ\u0301 àwọn",
    "decomposed french": unicodedata.normalize("NFD", "élève forêt garçon"),
    "korean": "농부 씨앗 밀가루",
    "korean in jamo": unicodedata.normalize("NFD", "농부 씨앗"),
    "chinese, cut beforehand": "学习 T恤",
    "amharic": "ቤት ትምህርት",
    "ukrainian": "комп'ютер м'яч",
    "catalan": "col·lecció il·lusió",
    "hebrew with gershayim": 'צה"ל דו״ח',
    "turkish": "İstanbul ışık",
}


@pytest.mark.parametrize("script", WORDS)
def test_words_are_whole_as_they_stand(script):
    text = WORDS[script]
    given = [text.replace("\u200b", " ").split()]
    tokens = tokenize([text], PLAIN)
    assert len(tokens.ids) == len(given[0])
    places = find_words([text], tokens.words, PLAIN)
    found = [text[start:stop] for start, stop in zip(places.starts, places.stops, strict=True)]
    assert [found] == given
    assert [tokens.words[word] for word in places.words] == [tokens.words[word] for word in tokens.ids]


@pytest.mark.parametrize(
    ("forms", "word"),
    [
        (["İzmir", "izmir", "i\u0307zmir"], "izmir"),
        (["J\u030ca\u030cn", "ǰǎn"], "ǰǎn"),
        (["комп'ютер", "комп’ютер", "компʼютер"], "компʼютер"),
        (['צה"ל', "צה״ל"], "צה״ל"),
        (["ΟΔΟΣ", "οδος"], "οδος"),
        (["\u0958लम", "\u0915\u093cलम"], "\u0915\u093cलम"),
    ],
)
def test_a_word_has_one_form(forms, word):
    assert tokenize(forms, PLAIN).words == [word]


def test_marks_and_digits_count_no_letter():
    for text in ("की", "é à", "ab̲", "x9किताबें", "किताबें9", "ab_्किताब", "कि"):
        assert tokenize([text], PLAIN).words == [], text
    assert tokenize(["❤\ufe0flove्"], PLAIN).words == ["love्"]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("我来到北京清华大学学习自然语言处理。", "Chinese.*tokenizer=jieba"),
        ("私は昨日東京の大学で日本語を勉強しました。", "Japanese.*fugashi"),
        ("ดีใจที่ได้เป็นแฟนคลับกลัฟนะครับ", "Thai.*PyThaiNLP"),
        ("ខ្ញុំរៀនភាសាខ្មែរនៅសាលារៀន", "Khmer"),
        ("မြန်မာစာကိုလေ့လာနေပါသည်", "Burmese"),
    ],
)
def test_scripts_without_blanks_are_told_what_to_do(text, advice, caplog):
    with caplog.at_level(logging.WARNING):
        fit_vocabulary([text, f"{text} {text[:9]}"] * 3, PLAIN)
    assert len(caplog.messages) == 1
    assert re.search(advice, caplog.messages[0])
    with pytest.raises(ValueError, match=advice):
        fit_vocabulary([text], PLAIN)


@pytest.mark.parametrize("script", [name for name in WORDS if "chinese" not in name])
def test_other_scripts_are_never_sent_to_jieba(script, caplog):
    with caplog.at_level(logging.WARNING):
        fit_vocabulary([WORDS[script]] * 3, PLAIN)
    assert not caplog.messages
    with pytest.raises(ValueError, match=r"lower data\.vocabulary\.min_df") as raised:
        fit_vocabulary([WORDS[script]], vocabulary(stop_words="none", min_df=2))
    assert "jieba" not in str(raised.value)
