"""Run folders of somebody else: their configuration runs no code, whichever way they are opened."""

import importlib.metadata
import json
import pickle
import shutil
import subprocess

import planted
import pytest
from every_model import quick_settings

import topiclab
from topiclab.config.compose import ConfigError, compose
from topiclab.config.declared import conf_dir
from topiclab.config.trust import foreign_code
from topiclab.report.page.command import render
from topiclab.runs.run import finished_fit

SEALS = ("checksum", "files")
SMALL = ["model.encoder.hidden_dims=[16]", "trainer.max_epochs=1", "embedder.dim=8"]


class Touch:
    """Pickled: makes the file when it is read back."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return subprocess.call, (["touch", self.path],)


def unsealed(path):
    """Content of a result.json without checksums, as anybody can write it and as older versions did."""
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in SEALS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    topiclab.fit(planted.corpus().texts, num_topics=3, overrides=SMALL, folder=folder)
    return folder


@pytest.fixture
def stranger(finished, tmp_path):
    """A copy of a finished run, and a function that changes its configuration by dotted keys."""
    folder = tmp_path / "stranger"
    shutil.copytree(finished, folder)
    path = folder / "result.json"
    content = unsealed(path)

    def change(changes):
        for key, value in changes.items():
            *outer, name = key.split(".")
            node = content["config"]
            for part in outer:
                node = node[part]
            node[name] = value
        path.write_text(json.dumps(content))
        return folder

    return change


def hostile(kind, mark):
    """Changes of a configuration that would make the file `mark`, or remove the folder `mark`.parent/kept."""
    touch, python = f"touch {mark}", f"open({str(mark)!r}, 'w')"
    popen = {"_target_": "subprocess.Popen", "args": ["touch", str(mark)], "name": "lsa"}
    pickled, script, kept = (mark.parent / name for name in ("x.pkl", "x.py", "kept"))
    pickled.write_bytes(pickle.dumps(Touch(mark)))
    script.write_text(python)
    kept.mkdir()
    model = {"name": "theta"}
    return {
        "popen embedder": {"embedder": popen},
        "popen teacher": {"teacher": popen, "input": "teacher"},
        "tokenizer": {"embedder.tokenizer": "os.system"},
        "joblib": {"model": {**model, "_target_": "joblib.load", "filename": str(pickled)}},
        "pandas": {"model": {**model, "_target_": "pandas.read_pickle", "filepath_or_buffer": str(pickled)}},
        "system model": {"model": {**model, "_target_": "os.system", "command": touch}},
        "system objective": {"objective": {"name": "bow", "_target_": "os.system", "command": touch}},
        "timeit": {"model": {**model, "_target_": "timeit.timeit", "stmt": python}},
        "runpy": {"model": {**model, "_target_": "runpy.run_path", "path_name": str(script)}},
        "exec": {"model": {**model, "_target_": "builtins.exec", "_args_": [python]}},
        "rmtree": {"model": {**model, "_target_": "shutil.rmtree", "path": str(kept)}},
        "nested": {"model.encoder": {"_target_": "subprocess.Popen", "args": ["touch", str(mark)]}},
        "list": {"model.layers": [[{"_target_": "subprocess.Popen", "_args_": [["touch", str(mark)]]}]]},
        "class elsewhere": {"model._target_": "topiclab.embed.random.RandomEmbedder"},
    }[kind]


KINDS = [
    "popen embedder",
    "popen teacher",
    "tokenizer",
    "joblib",
    "pandas",
    "system model",
    "system objective",
]
KINDS += ["timeit", "runpy", "exec", "rmtree", "nested", "list", "class elsewhere"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_entrance_runs_the_code_that_a_folder_names(kind, stranger, tmp_path, capsys):
    mark = tmp_path / "executed"
    folder = stranger(hostile(kind, mark))
    with pytest.raises(ValueError, match="is not code of topiclab") as raised:
        topiclab.load(folder)
    assert "trust=True" in str(raised.value)
    assert str(folder) in str(raised.value)
    for task in ("predict", "describe"):
        with pytest.raises(ConfigError, match="trust=true"):
            compose([f"task={task}", f"run={folder}"])
    with pytest.raises(ConfigError, match=r"teacher\.run=.*trust=true"):
        compose(["teacher=minillm", f"teacher.run={folder}", "objective=dsl"])
    with pytest.raises(ValueError, match="is not code of topiclab"):
        finished_fit(folder)
    assert render([f"run={folder}"]) == 1
    assert "is not code of topiclab" in capsys.readouterr().err
    assert not mark.exists()
    assert (tmp_path / "kept").is_dir()


def test_a_trusted_folder_runs_its_code(stranger, tmp_path):
    folder = stranger({"embedder.tokenizer": "shlex.split", "trust": True})
    with pytest.raises(ValueError, match=r"embedder\.tokenizer=shlex\.split"):
        topiclab.load(folder)
    assert topiclab.load(folder, trust=True).embedder.tokenizer("a 'b c'") == ["a", "b c"]
    assert compose(["task=predict", f"run={folder}", "trust=true"])["trust"] is True


def test_code_that_the_caller_names_needs_no_trust(tmp_path):
    texts = planted.corpus().texts
    named = [*SMALL, "embedder.tokenizer=shlex.split"]
    assert topiclab.fit(texts, num_topics=3, overrides=named, folder=tmp_path).embedder.tokenizer("a b")
    result = unsealed(tmp_path / "result.json")
    result["config"]["objective"]["_target_"] = "os.system"  # which no identity contains
    (tmp_path / "result.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r"objective\._target_=os\.system"):
        topiclab.fit(texts, num_topics=3, overrides=named, folder=tmp_path)


def test_every_option_of_conf_is_known():
    for path in (conf_dir() / "model").glob("[!_]*.yaml"):
        images = ["data=digits"] if path.stem == "tvqvae_image" else []
        cfg = compose([f"model={path.stem}", *images, *quick_settings(path.stem, "few")])
        assert foreign_code(cfg) == {}
    assert foreign_code({"model": {"_target_": "topiclab.models.theta.Theta"}}) == {}  # its earlier name
    assert foreign_code({"embedder": {"tokenizer": "jieba.lcut"}}) == {}
    assert foreign_code({"model": {"_target_": 3}, "embedder": {"_target_": ["os.system"]}})


def test_an_installed_plugin_is_known(monkeypatch):
    entry = importlib.metadata.EntryPoint("mine", "mine.models:Mine", "topiclab.targets")
    monkeypatch.setattr("topiclab.config.trust.entry_points", lambda group: [entry])
    from topiclab.config.trust import _of_plugins

    _of_plugins.cache_clear()
    assert foreign_code({"model": {"_target_": "mine.models.Mine"}}) == {}
    assert foreign_code({"model": {"_target_": "mine.models.Other"}})
    _of_plugins.cache_clear()


ODD = {
    "objective": ("del", "objective"),
    "mode.class_weight": ("del", "mode.class_weight"),
    "trainer": ("del", "trainer"),
    "trainer.device": ("del", "trainer.device"),
    "logger": ("del", "logger"),
    "model._target_": ("del", "model._target_"),
    "model.encoder.hidden_dims": (["many"], "model.encoder.hidden_dims"),
    "model.new": (1, "new"),
    "num_topics": ("del", "num_topics"),
    "data.vocabulary": (None, "vocabulary"),
    "embedder.dim": ("eight", "embedder.dim"),
    "task": ("fit", "task"),
    "mode": (None, "mode"),
    "model": ([1], "model"),
    "seed": ({}, "seed"),
}


@pytest.mark.parametrize("key", ODD)
def test_an_odd_configuration_is_refused_by_folder_and_key(key, finished, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(finished, folder)
    value, told = ODD[key]
    content = unsealed(folder / "result.json")
    *outer, name = key.split(".")
    node = content["config"]
    for part in outer:
        node = node[part]
    node[name] = value
    if value == "del":
        del node[name]
    (folder / "result.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="odd.*" + told):
        topiclab.load(folder).transform(["some text"])


@pytest.mark.parametrize("key", ["manifest", "metrics", "config"])
@pytest.mark.parametrize("value", [None, [], "text"])
def test_an_odd_result_is_refused_by_folder_and_key(key, value, finished, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(finished, folder)
    content = unsealed(folder / "result.json")
    content[key] = value
    if value is None:
        del content[key]
    (folder / "result.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"odd.*{key}|odd.*keys are missing"):
        topiclab.load(folder)


@pytest.mark.parametrize("change", [lambda vocab: vocab[:-1], lambda vocab: vocab[::-1]])
def test_a_vocabulary_that_is_not_the_topics_is_refused(change, finished, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(finished, folder)
    facts = json.loads((folder / "model.json").read_text())
    facts["vocab"] = change(facts["vocab"])
    (folder / "result.json").write_text(json.dumps(unsealed(folder / "result.json")))
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"model\.json and topics\.npz hold different words"):
        topiclab.load(folder)
