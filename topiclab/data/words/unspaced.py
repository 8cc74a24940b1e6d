"""Scripts written without blanks between words: noticed in a corpus, with what can be done."""

from __future__ import annotations

import re
from collections.abc import Sequence

SAMPLE_TEXTS, SAMPLE_CHARACTERS = 500, 400
# Letters and marks of each script, and the mean length above which its runs are taken for phrases: words
# that were cut beforehand are shorter.
SCRIPTS = {
    "Chinese": ("\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff", 4),
    "Thai": ("\u0e00-\u0e7f", 10),
    "Lao": ("\u0e80-\u0eff", 10),
    "Khmer": ("\u1780-\u17d3", 10),
    "Burmese": ("\u1000-\u1049\u1050-\u109f", 10),
}
KANA = re.compile("[\u3040-\u30ff]")
KANA_SHARE = 0.1  # of the letters, from which the texts are Japanese
CUTTERS = {
    "Japanese": "fugashi or SudachiPy",
    "Thai": "PyThaiNLP",
    "Lao": "LaoNLP",
    "Khmer": "khmer-nltk",
    "Burmese": "pyidaungsu",
}


def unspaced_script(texts: Sequence[str]) -> str | None:
    """Language in whose script most letters of the texts stand, in runs too long for words; else None.

    Reads a sample of the texts.
    """
    sample = [text[:SAMPLE_CHARACTERS] for text in texts[:: max(len(texts) // SAMPLE_TEXTS, 1)]]
    num_letters = sum(len(text) if text.isascii() else sum(map(str.isalpha, text)) for text in sample)
    other = [text for text in sample if not text.isascii()]
    for language, (letters, longest) in SCRIPTS.items():
        runs = [run for text in other for run in re.findall(f"[{letters}]+", text)]
        total = sum(map(len, runs))
        if 2 * total > num_letters and total > longest * len(runs):
            kana = sum(len(KANA.findall(run)) for run in runs)
            return "Japanese" if language == "Chinese" and kana > KANA_SHARE * total else language
    return None


def advice(texts: Sequence[str], tokenizer: str) -> str | None:
    """A sentence for texts that the tokenizer cannot cut into words; None for others."""
    language = unspaced_script(texts)
    if language is None or (language == "Chinese" and tokenizer == "jieba"):
        return None
    if language == "Chinese":
        way_out = (
            "use data.vocabulary.tokenizer=jieba data.vocabulary.stop_words=chinese "
            "(pip install 'topiclab[chinese]')"
        )
    else:
        way_out = (
            f"no tokenizer here cuts it: cut the texts beforehand, for instance with {CUTTERS[language]}, "
            "and give them with blanks between the words and data.vocabulary.tokenizer=regex"
        )
    return (
        f"most of the text is {language}, which has no blanks between words, so that "
        f"data.vocabulary.tokenizer={tokenizer} finds none; {way_out}"
    )
