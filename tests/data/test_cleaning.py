"""Texts without links, markup, entities and addresses, and labels that are missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_settings import vocabulary

from topiclab.config.compose import compose
from topiclab.config.identity import changed_keys
from topiclab.data.cleaning import SIGNS, clean_text
from topiclab.data.documents import Document, build_corpus
from topiclab.settings import Selection, Split

VOCABULARY, SPLIT = vocabulary(min_df=1, max_df=1.0), Split(val=0, test=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://t.co/aB1?x=2&y=3, or www.a.org/b.", "see , or ."),
        ("见http://t.cn/abc。很好", "见 。很好"),
        ("<p>un<b>seen</b> &amp; said<br/>two<!-- no --></p>", "unseen & said two"),
        ("&lt;i&gt;it&lt;/i&gt; &#39;s &nbsp; 5", "it 's 5"),
        ("if a <b and c> d, x < y", "if a <b and c> d, x < y"),
        (
            "# Head\n* **bold** and _it_, snake_case_name\n> [text](http://a.b/c) `code`",
            "Head\nbold and it, snake_case_name\ntext code",
        ),
        ("write to a.b@c.org now", "write to now"),
    ],
)
def test_cleaned_text_keeps_its_words(text: str, expected: str) -> None:
    assert clean_text(text, tuple(SIGNS)) == expected
    assert clean_text(text, ()) == text


def test_many_links_are_told_and_removed(caplog: pytest.LogCaptureFixture) -> None:
    documents = [Document(f"river stone http://a.b/{row}", title="a &amp; b") for row in range(9)]
    build_corpus(documents, Selection("posts"), VOCABULARY, SPLIT)
    assert "100% hold links; data.clean=[links] removes them" in caplog.text
    caplog.clear()
    corpus = build_corpus(documents, Selection("posts", clean=("links", "entities")), VOCABULARY, SPLIT)
    assert set(corpus.texts) == {"river stone"}
    assert corpus.titles is not None
    assert corpus.titles[0] == "a & b"
    assert "data.clean" not in caplog.text


def test_values_that_mean_missing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    labels = ["nan", "None", None, float("nan"), "NaT", "", "NA", "cars"]
    documents = [Document(f"river stone {row}", label=label) for row, label in enumerate(labels)]
    usual = Selection("posts", missing=None)
    corpus = build_corpus(documents, usual, VOCABULARY, SPLIT)
    assert corpus.label_names == ("NA", "cars")
    assert corpus.info["unlabelled"] == 6
    assert "6 of 8 documents have no label" in caplog.text
    assert (
        "classes are called NA (1 documents); data.missing=[nan,None,null,NaT,NA] makes them" in caplog.text
    )
    caplog.clear()
    chosen = Selection.of(compose(["data.missing=[nan,null,NA]"])["data"])
    assert build_corpus(documents, chosen, VOCABULARY, SPLIT).label_names == ("NaT", "None", "cars")
    every = build_corpus(documents, replace(usual, missing=()), VOCABULARY, SPLIT)
    assert every.label_names == ("NA", "NaT", "None", "cars", "nan")
    assert "classes are called" not in caplog.text


def test_repeated_and_missing_ids_are_named_by_their_line() -> None:
    first, again = (Document("river", id="a", origin="posts.csv, line", number=line) for line in (2, 7))
    with pytest.raises(ValueError, match=r"line 7: id 'a' was used before, by 2; .*data\.deduplicate=true"):
        build_corpus([first, again], Selection("posts"), VOCABULARY, SPLIT)
    with pytest.raises(ValueError, match="line 7: the id 'nan' means that there is none"):
        build_corpus([again._replace(id="nan")], Selection("posts", missing=None), VOCABULARY, SPLIT)


def test_new_keys_keep_older_runs_and_enter_the_identity() -> None:
    cfg = compose(["data=file", "data.path=."])
    old = {**cfg, "data": {**cfg["data"], "encoding": "utf-8"}}
    for key in ("clean", "missing", "delimiter", "timestamp_format"):
        del old["data"][key]
    assert not changed_keys(old, cfg)
    for override in ("data.clean=[links]", "data.missing=[nan]", "data.encoding=cp1251"):
        assert len(changed_keys(old, compose(["data=file", "data.path=.", override]))) == 1
