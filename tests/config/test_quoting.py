"""Paths and texts as people have them, typed as they stand."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from topiclab.config.compose import ConfigError, compose, compose_unchecked
from topiclab.config.quoting import as_typed, quoted

NAMES = [
    "posts (1).csv",
    "a=b, c.csv",
    "größe é.csv",
    "[draft] {2}.csv",
    "it's.csv",
    'so "this".csv',
    "a,b.csv",
    "100",
    "true",
    "x y.csv",
    "विकास:1.csv",
    "#1 & more!.csv",
    "50%@home.csv",
]
KEYS = ["data.path", "embedder.path", "teacher.path", "reference.path", "reference.words", "paths.outputs"]
KEYS += [
    "paths.cache",
    "finetune.path",
    "rating.path",
    "run",
    "embedder.run",
    "+data.path",
    "data.text_column",
]


def values_of(override):
    parsed = OverridesParser.create().parse_override(override)
    return list(parsed.sweep_iterator()) if parsed.is_sweep_override() else parsed.value()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", KEYS)
def test_a_name_is_read_as_it_stands(key, name):
    (override,) = quoted([f"{key}={name}"])
    assert values_of(override) == name
    assert quoted([override]) == [override]


def test_what_hydra_reads_rightly_stays_as_it_is():
    line = [
        "data.path=a/b-c_d.csv",
        "run=null",
        "data.path='a b'",
        "seed=1",
        "run='a=1'",
        "-cd",
        "x=(",
        "~seed",
    ]
    line += ["reference={path: x}", "data.path=", "finetune.path=/x/y.jsonl"]  # names of folders keep them
    assert quoted(line) == line


def test_a_comma_separates_values_of_a_sweep_unless_it_is_in_the_name_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given, values in (
        ("data.path=a.csv,b.csv", ["a.csv", "b.csv"]),
        ("data.path=a (1).csv,b.csv", ["a (1).csv", "b.csv"]),
        ("run=x=1/s,y=2/s", ["x=1/s", "y=2/s"]),
    ):
        (override,) = quoted([given], is_sweep=True)
        assert [getattr(value, "text", value) for value in values_of(override)] == values
    for name in ("a.csv,b.csv", "a=b, c.csv"):
        (tmp_path / name).touch()
        assert values_of(*quoted([f"data.path={name}"], is_sweep=True)) == name
    assert values_of(*quoted(["data.path=posts (1).csv"], is_sweep=True)) == "posts (1).csv"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_found(name, tmp_path):
    (tmp_path / name).write_text("text\none\n")
    assert compose(["data=file", f"data.path={tmp_path / name}"])["data"]["path"] == str(tmp_path / name)


def test_an_error_of_the_grammar_shows_the_line_as_it_is_typed():
    with pytest.raises(ConfigError, match="put the value in quotes") as raised:
        compose_unchecked(["data.name=a (1)"])
    (typed,) = shlex.split(str(raised.value).partition("quotes: ")[2])
    assert values_of(typed) == "a (1)"
    assert as_typed("a b=1") is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["data=/x/posts.csv"], r"use data=file data\.path=/x/posts\.csv"),
        (["data=my posts (1).csv"], r'use data=file "data\.path=my posts \(1\)\.csv"'),
        (["data.path=posts.csv"], r"data=lee reads no file of yours; add data=file"),
        (["model=null"], r"model=null: null is no option of this group; choose .*theta"),
        (["trainer=null"], "choose default"),
        (["data.split=null"], r"data\.split=null: a group of keys"),
        (["select_k=null"], "select_k=null: every configuration has this group"),
        (["reference=null"], "reference=null: a group of keys"),
        (["~seed"], "leave ~seed out"),
        (["~model"], "model=null"),
        (["~trainer.devices"], "trainer lacks devices"),
        (["~data.vocabulary.ngrams", "embed_text=bow"], "a key that every configuration has is missing"),
    ],
)
def test_lines_that_misled_are_told_the_way_out(line, told):
    with pytest.raises(ConfigError, match=told):
        compose(line)
