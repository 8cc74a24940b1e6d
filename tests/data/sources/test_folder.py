"""data=text: a folder of texts or several corpora, and refused input."""

from __future__ import annotations

import json

import pytest

from topiclab.config.compose import ConfigError, compose
from topiclab.data.sources.corpora import data_folder, load_corpus, load_texts
from topiclab.data.sources.folder import CORPORA, corpus_group


def group(*overrides):
    return compose(["data=text", *overrides])["data"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "a.txt").write_text("one two three\nfour", encoding="utf-8-sig")
    (tmp_path / "notes" / "b.md").write_text("# five six seven")
    (tmp_path / "notes" / "copy.txt").write_text("# five six seven")
    (tmp_path / "empty.txt").write_text(" \n")
    lines = [json.dumps({"text": text, "n": 1}) for text in ("eight nine", "ten one two")]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    return tmp_path


def test_a_folder_gives_its_texts_once(folder):
    ids, texts = load_texts(group(f"data.path={folder}"))
    assert texts == ["one two three\nfour", "eight nine", "ten one two", "# five six seven"]
    assert ids[0] == "a.txt"
    assert ids[-1] == "notes/b.md"
    words = ["data.vocabulary.stop_words=none", "data.vocabulary.min_df=1", "data.vocabulary.max_df=1.0"]
    wanted = [f"data.path={folder}", *words, "data.split={val:0,test:0}"]
    corpus = load_corpus(group(*wanted))
    assert corpus.info["blank"] == 1
    assert corpus.info["duplicates"] == 1
    assert corpus.label_names == ("notes",)
    (folder / "z.txt").write_text("something new")
    more = load_corpus(group(*wanted))
    assert more.num_docs == corpus.num_docs + 1


def test_one_file_is_read_too(folder):
    assert load_texts(group(f"data.path={folder / 'c.jsonl'}"))[1] == ["eight nine", "ten one two"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.txt", b"ab\0cd", "x.txt: character 3 is 0, so this is not a text file"),
        ("x.md", b"caf\xe9 noir", "x.md, line 1, byte 4: 0xe9 is not utf-8.*cp1252 gives 'café noir"),
        ("x.jsonl", b"\xff\xff\n", "x.jsonl, line 1, byte 1"),
        ("x.pdf", b"%PDF", "no file there ends in .txt, .md, .jsonl"),
        ("x.txt", b" \n", "1 documents read and none with text"),
        ("x.txt", b"", "1 documents read and none with text"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=told):
        load_texts(group(f"data.path={tmp_path}"))


def test_one_document_is_too_few(tmp_path):
    (tmp_path / "x.txt").write_text("all in one")
    with pytest.raises(ValueError, match="1 usable documents"):
        load_corpus(group(f"data.path={tmp_path}"))


def test_wrong_names_are_explained(tmp_path):
    with pytest.raises(ValueError, match="no text corpus wikipedia; use any of arxiv"):
        load_texts(group("data.corpora=[wikipedia]"))
    with pytest.raises(ValueError, match="both are empty"):
        load_texts(group("data.corpora=[]"))
    with pytest.raises(ConfigError, match="nothing there"):
        group(f"data.path={tmp_path / 'nowhere'}")


def test_corpora_are_read_as_by_their_own_names():
    for name in CORPORA:
        assert corpus_group(name) == compose([f"data={name}"])["data"]


@pytest.mark.skipif(not (data_folder() / "prose.parquet").is_file(), reason="no corpora")
def test_corpora_follow_one_another():
    ids, texts = load_texts(group("data.corpora=[lee,stackoverflow]"))
    apart = [
        load_texts(compose([f"data={name}", "data.deduplicate=true"])["data"])[1]
        for name in ("lee", "stackoverflow")
    ]
    assert texts == apart[0] + apart[1]
    assert ids[0].startswith("lee/") or len(ids[0]) == 32
    alone = load_texts(compose(["data=prose"])["data"])
    assert len(alone[0]) == 2_641
    assert alone[0][0] == "brown/ca01"
