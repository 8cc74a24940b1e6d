"""load_corpus on every source of conf/data, and the local-file rules."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import _twenty_newsgroups as newsgroups

from topiclab.config.compose import conf_dir
from topiclab.data.corpus import Corpus
from topiclab.data.sources.corpora import data_folder, lee_path, load_corpus
from topiclab.data.sources.file import read_records
from topiclab.data.sources.published import STACKOVERFLOW_TAGS
from topiclab.data.sources.synthetic import planted_topics, topic_word

FILES = sorted((conf_dir() / "data").glob("[!_]*.yaml"))
NAMES = [path.stem for path in FILES if "_images" not in path.read_text()]


@cache
def composed(name: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir().resolve()), version_base="1.3"):
        return compose(overrides=[f"+data={name}"]).data


def data_group(name: str, *overrides: str) -> dict[str, Any]:
    """Return the plain `data` group with `key=value` overrides of keys that exist."""
    merged = OmegaConf.merge(composed(name), OmegaConf.from_dotlist(list(overrides)))
    return OmegaConf.to_container(merged, resolve=True)  # type: ignore[return-value]


def load(name: str, *overrides: str) -> Corpus:
    return load_corpus(data_group(name, *overrides))


def needs(file: str) -> pytest.MarkDecorator:
    is_missing = not (data_folder() / file).is_file()
    return pytest.mark.skipif(is_missing, reason=f"no {file} in $TOPICLAB_DATA, ../shared/data or data/")


@pytest.mark.parametrize("name", NAMES)
def test_every_group_states_the_shared_keys_and_explains_its_own(name: str) -> None:
    shared = {"name", "source", "sample", "sample_seed", "deduplicate", "split", "vocabulary"}
    path = ["path=x"] if name == "file" else []
    assert shared <= set(data_group(name, *path))
    for line in (conf_dir() / "data" / f"{name}.yaml").read_text().splitlines():
        is_plain = line.startswith(("#", "defaults", "name: ", "source: ")) or line.endswith(":")
        assert is_plain or "#" in line, line


def test_lee_is_gensims_and_loads_once() -> None:
    datapath = pytest.importorskip("gensim.test.utils").datapath
    assert lee_path() == Path(datapath("lee_background.cor"))
    corpus = load("lee")
    assert (corpus.num_docs, corpus.num_words, corpus.labels) == (300, 2000, None)
    assert load("lee") is corpus
    assert load("lee", "vocabulary.size=1000").num_words == 1000


def test_planted_topics_share_no_word_and_labels_are_dominant() -> None:
    corpus = load("synthetic")
    topics = planted_topics()
    assert (corpus.num_docs, corpus.num_words, len(corpus.label_names)) == (600, 100, 5)
    assert {word for topic in topics for word in topic} == set(corpus.vocab)
    topic_of = np.array([next(k for k, topic in enumerate(topics) if word in topic) for word in corpus.vocab])
    words_of_topic = np.stack([corpus.bow[:, topic_of == k].sum(axis=1).A1 for k in range(5)])
    np.testing.assert_array_equal(words_of_topic.argmax(0), corpus.labels)
    assert load("synthetic", "planted.seed=1").text_fingerprint != corpus.text_fingerprint
    assert load("synthetic", "planted.num_docs=50").texts == corpus.texts[:50]


def test_planted_words_are_distinct() -> None:
    words = {topic_word(topic, rank) for topic in range(80) for rank in range(80)}
    assert len(words) == 6400


def test_a_file_is_loaded_by_its_columns_and_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    lines = [f"{i},river {'stone' if i % 2 else 'cloud'},{i % 2},202{i}" for i in range(4)]
    path.write_text("\n".join(["key,body,kind,year", *lines]))
    columns = ["text_column=body", "label_column=kind", "id_column=key", "timestamp_column=year"]
    overrides = [f"path={path}", *columns, "name=posts", "vocabulary.max_df=1.0"]
    corpus = load("file", *overrides)
    assert corpus.name == "posts"
    assert corpus.ids == ("0", "1", "2", "3")
    assert corpus.vocab == ("river", "cloud", "stone")
    assert corpus.labels is not None
    assert corpus.labels.tolist() == [0, 1, 0, 1]
    assert corpus.timestamps is not None
    assert corpus.timestamps[3] == np.datetime64("2023-01-01")
    path.write_text("\n".join(["key,body,kind,year", *lines, "9,river cloud,0,2024"]))
    assert load("file", *overrides).num_docs == 5


def test_a_chinese_file_is_cut_by_jieba(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(
        '{"text": "清华大学的学生学习机器学习"}\n{"text": "学生今天去公园学习"}\n', encoding="utf-8"
    )
    cut = ["vocabulary.tokenizer=jieba", "vocabulary.stop_words=none", "vocabulary.max_df=1.0"]
    assert load("file", f"path={path}", *cut).vocab == ("学习", "学生")
    with pytest.raises(ValueError, match=r"vocabulary has 0 words.*data.vocabulary.tokenizer=jieba"):
        load("file", f"path={path}")


def test_missing_files_name_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPICLAB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"tweet_topic\.parquet.*github\.com/raymondzmc/DSL-Topic"):
        load("tweet_topic")
    with pytest.raises(FileNotFoundError, match=r"TOPICLAB_DATA.*github\.com/jacoxu/StackOverflow"):
        load("stackoverflow")
    with pytest.raises(FileNotFoundError, match=r"no file /elsewhere/stackoverflow\.parquet"):
        load_corpus(data_group("stackoverflow"), folder="/elsewhere")
    with pytest.raises(FileNotFoundError, match=r"data\.path=.*gone\.csv: no such file"):
        load("file", f"path={tmp_path}/gone.csv")
    with pytest.raises(ValueError, match=r"data=file needs data\.path=<file>"):
        load("file", "path=null")
    with pytest.raises(ValueError, match="source=leee is unknown; use lee, "):
        load("lee", "source=leee")


def test_data_folder_is_the_environment_then_the_neighbour_then_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPICLAB_DATA", "/somewhere")
    assert data_folder() == Path("/somewhere")
    monkeypatch.delenv("TOPICLAB_DATA")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    assert data_folder() == tmp_path / "shared" / "data"


def test_stackoverflow_as_published(tmp_path: Path) -> None:
    titles, labels = tmp_path / "title_StackOverflow.txt", tmp_path / "label_StackOverflow.txt"
    titles.write_text("Linq join\nSvn join\nLinq svn\n")
    labels.write_text("18\n3\n18\n")
    corpus = load("stackoverflow", f"path={titles}", "vocabulary.max_df=1.0")
    assert corpus.label_names == ("linq", "svn")
    assert corpus.labels is not None
    assert corpus.labels.tolist() == [0, 1, 0]
    for wrong in ("18\n3\n", "18\n3\n21\n", "18\n3\n18\n1\n"):
        labels.write_text(wrong)
        with pytest.raises(ValueError, match=r"label_StackOverflow\.txt, line [34]: needs a number 1\.\.20"):
            load("stackoverflow", f"path={titles}", f"vocabulary.size={len(wrong)}")


def test_tweet_topic_as_published(tmp_path: Path) -> None:
    path = tmp_path / "tweet_topic.tsv"
    path.write_text('text\tlabel\tlabel_name\nwe "won" today\t16\tsports\nwe sang today\t9\tmusic\n')
    corpus = load("tweet_topic", f"path={path}", "vocabulary.max_df=1.0", "vocabulary.min_df=1")
    assert corpus.texts[0] == 'we "won" today'
    assert corpus.label_names == ("music", "sports")


@needs("stackoverflow.parquet")
def test_stackoverflow() -> None:
    corpus = load("stackoverflow")
    assert (corpus.num_docs, corpus.num_words) == (20_000, 2000)
    assert corpus.label_names == tuple(sorted(STACKOVERFLOW_TAGS))
    assert np.bincount(corpus.labels).tolist() == [1000] * 20  # type: ignore[arg-type]
    numbers = {
        (r["label"], r["label_name"])
        for r in read_records(data_folder() / "stackoverflow.parquet", ["label", "label_name"])
    }
    assert numbers == set(enumerate(STACKOVERFLOW_TAGS))


@needs("tweet_topic.parquet")
def test_tweet_topic_is_deduplicated_unless_told() -> None:
    corpus = load("tweet_topic")
    assert (corpus.num_docs, len(corpus.label_names)) == (5790, 19)
    assert len(set(corpus.texts)) == 5790
    assert corpus.info["duplicates"] == 21_996 - 5790
    whole = load("tweet_topic", "deduplicate=false")
    assert whole.num_docs == len(set(whole.ids)) == 21_996
    split_of = dict(zip(corpus.texts, corpus.split, strict=True))
    assert all(split_of[text] == place for text, place in zip(whole.texts, whole.split, strict=True))


@needs("20newsgroups.parquet")
def test_newsgroups_are_stripped_as_scikit_learn_does() -> None:
    rows = list(read_records(data_folder() / "20newsgroups.parquet", ["id", "text", "label_name", "split"]))

    def strip(text: str) -> str:
        text = newsgroups.strip_newsgroup_header(text)
        return newsgroups.strip_newsgroup_quoting(newsgroups.strip_newsgroup_footer(text))

    corpus = load("20newsgroups", "subset=test")
    stripped = [strip(row["text"]) for row in rows if row["split"] == "test"]
    assert list(corpus.texts) == [text for text in stripped if text.strip()]
    assert (corpus.info["read"], len(corpus.label_names)) == (7532, 20)

    raw = load("20newsgroups", "subset=test", "remove=[]", "sample=500")
    by_id = {f"{row['label_name']}/{row['id']}": row["text"] for row in rows}
    assert all(by_id[name] == text for name, text in zip(raw.ids, raw.texts, strict=True))


@needs("20newsgroups.parquet")
@pytest.mark.parametrize(
    ("override", "message"),
    [("remove=[header]", "names header; use any of headers"), ("subset=val", "subset=val is unknown")],
)
def test_newsgroups_refuse_unknown_parts(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load("20newsgroups", override)


def test_newsgroups_from_scikit_learn_match_the_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = newsgroups.Bunch(
        data=["Subject: a\n\nThe engine stalls", "Subject: b\n\nThe engine sings"],
        target=np.array([1, 0]),
        target_names=["rec.autos", "sci.space"],
        filenames=[f"{os.sep}x{os.sep}sci.space{os.sep}7", f"{os.sep}x{os.sep}rec.autos{os.sep}7"],
    )
    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", lambda **_: posts)
    monkeypatch.setenv("TOPICLAB_DATA", str(tmp_path))
    corpus = load("20newsgroups", "subset=train", "vocabulary.max_df=1.0", "vocabulary.min_df=1")
    assert corpus.ids == ("sci.space/7", "rec.autos/7")
    assert corpus.texts == ("The engine stalls", "The engine sings")

    def offline(**_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", offline)
    with pytest.raises(FileNotFoundError, match=r"could not download the posts \(no route\).*TOPICLAB_DATA"):
        load("20newsgroups", "subset=test")
