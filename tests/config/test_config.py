import copy
import inspect
import math

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_class, get_method

from topiclab.config.checks import validate
from topiclab.config.compose import ConfigError, compose, conf_dir
from topiclab.config.declared import DECLARATIONS
from topiclab.config.identity import changed_keys, config_hash
from topiclab.config.instantiate import MOVED, target_of
from topiclab.config.rules import flatten

FILES = sorted(
    path for path in conf_dir().rglob("*.yaml") if "hydra" not in path.relative_to(conf_dir()).parts
)
# a group `data` of images as the checks see it: without a vocabulary
IMAGES = {"name": "digits", "source": "digits", "modality": "images", "split": {"val": 0.1, "test": 0.2}}


@pytest.fixture(scope="module")
def default():
    return compose()


@pytest.mark.parametrize(("earlier", "path"), MOVED.items())
def test_a_finished_run_finds_its_class_under_the_earlier_path(earlier, path):
    assert target_of({"_target_": earlier}) is get_class(path)


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name not in ("conf", "hydra", "paths", "trainer")]
)
def test_every_option_has_the_name_it_is_chosen_by(path):
    content = yaml.safe_load(path.read_text())
    named = content.get("task", content).get("name")
    _, *folders, _ = path.relative_to(conf_dir()).parts
    assert named == "_".join([*folders, path.stem]) or path.stem.startswith("_")


@pytest.mark.parametrize("path", sorted((conf_dir() / "task").glob("*.yaml")), ids=lambda path: path.stem)
def test_task_yaml_names_a_function(path):
    function = get_method(yaml.safe_load(path.read_text())["task"]["_target_"])
    assert list(inspect.signature(function).parameters) == ["cfg", "folder"]


def test_composition_is_plain_and_leaves_hydra_as_it_was(default):
    assert type(default) is dict
    assert type(default["data"]["vocabulary"]["ngrams"]) is list
    assert not GlobalHydra.instance().is_initialized()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        standing = GlobalHydra.instance().hydra
        assert compose(["num_topics=7"])["num_topics"] == 7
        assert GlobalHydra.instance().hydra is standing


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["num_topics=abc", "seed=-1"],
            ["num_topics=abc is refused: give a whole", "seed=-1 is"],
        ),
        (
            ["num_topic=5", "sed=3"],
            ["num_topic: no such key; did you mean num_topics?", "seed?"],
        ),
        (["max_epochs=3"], ["max_epochs: no such key; did you mean", "trainer.max_epochs"]),
        (["trainer.max_epoch=3"], ["trainer.max_epoch: no such key; did you mean trainer.max_epochs"]),
        (["+num_topic=5"], ["num_topic: no such key; did you mean num_topics?"]),
        (["model=thetta"], ["model=thetta: no such model; did you mean model=theta?", "prodlda"]),
        (["modle=theta"], ["modle: no such key; did you mean", "model"]),
        (["num_topics"], ["num_topics", "EQUAL"]),
        (["data=file"], ["data.path has no value here; add data.path=<value>"]),
        (["num_topics=${no.such}"], ["num_topics: ", "no.such"]),
    ],
    ids=lambda value: " ".join(value) if "=" in value[0] else "",
)
def test_line_that_cannot_be_composed_is_explained(overrides, told):
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    for words in told:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"num_topics": 0}, ["num_topics=0 is refused: give a whole number from 1 on"]),
        ({"num_topics": 25.0}, ["num_topics=25.0 is refused"]),
        ({"num_topics": True}, ["num_topics=true is refused"]),
        ({"num_topics": None}, ["num_topics=null is refused"]),
        ({"num_topics": "all"}, ["num_topics=all is refused: give a whole number from 1 on, or auto"]),
        ({"num_topics": "auto", "model.finds_num_topics": True}, ["model=theta finds", "num_topics=100"]),
        ({"num_topics": "auto", "data": IMAGES}, ["num_topics=auto clusters texts", "data=digits"]),
        ({"select_k.candidates": [10]}, ["select_k.candidates=[10] is refused: give at least two different"]),
        ({"select_k.candidates": [10, 10]}, ["select_k.candidates=[10, 10] is refused"]),
        ({"select_k.candidates": [1, 10]}, ["select_k.candidates=[1, 10] is refused", "from 2 on"]),
        ({"select_k.num_seeds": 1}, ["select_k.num_seeds=1 is refused: give a whole number from 2 on"]),
        ({"seed": -1, "data.split.val": 1.5, "name": "a/b"}, ["name=a/b", "data.split.val=1.5", "seed=-1"]),
        ({"trainer.device": "gpu"}, ["trainer.device=gpu is refused: give auto, cpu"]),
        ({"model.lr": 0}, ["model.lr=0 is refused: give a number above 0"]),
        ({"model.lr": math.nan}, ["model.lr=NaN is refused"]),
        ({"data.vocabulary.ngrams": [1]}, ["data.vocabulary.ngrams=[1] is refused: give a pair"]),
        ({"data.path": "nowhere.csv"}, ["data.path=nowhere.csv: nothing there"]),
        ({"data.split.val": 0.5, "data.split.test": 0.5}, ["data.split.val=0.5", "leave no documents"]),
        ({"data.split.val": None}, ["null keeps the original split, which data=lee does not have"]),
        ({"data.modality": "images"}, ["model=theta reads texts", "holds images; use model=tvqvae_image"]),
        ({"model.modality": "images"}, ["model=theta reads images", "add data=digits"]),
        ({"data": IMAGES, "embed_text": "bow", "mode.name": "supervised"}, ["holds images"]),
        ({"data": IMAGES, "task.name": "teach", "teacher.name": "encoder"}, ["task=teach reads texts"]),
        ({"mode.name": "supervised"}, ["mode=supervised needs labels", "data=20newsgroups"]),
        (
            {"mode.name": "supervised", "data.name": "x", "data.label_column": None},
            ["label_column=<column>"],
        ),
        ({"mode.name": "unsupervised", "mode.adapt": "simcse"}, ["mode.adapt=simcse", "embedder=minilm"]),
        ({"mode.adapt": "simcse", "embedder.name": "minilm"}, ["mode=zero_shot", "use mode=unsupervised"]),
        ({"mode.name": "unsupervised", "mode.adapt": "supcon"}, ["mode.adapt=supcon needs labels"]),
        (
            {"teacher": {"name": "encoder", "words": "alone"}, "embedder.name": "precomputed"},
            ["teacher.words=alone", "use teacher.words=centroid"],
        ),
        ({"embed_text": "bow", "embedder.name": "precomputed"}, ["embed_text=bow", "use embed_text=raw"]),
        ({"embed_text": "bow", "data.vocabulary.ngrams": [2, 3]}, ["embed_text=bow", "starts at 2"]),
        ({"task.name": "predict"}, ["task=predict needs a fitted model; add run="]),
        ({"run": "nowhere"}, ["run=nowhere: no result.json there"]),
        (
            {"objective": {"name": "dsl", "uses": ["soft_labels"]}},
            ["objective=dsl needs soft labels", "teacher=neighbours"],
        ),
    ],
    ids=str,
)
def test_fault_names_the_value_the_rule_and_the_way_out(default, values, told):
    assert validate(default) == []
    faults = validate(with_values(default, values))
    for words in told:
        assert words in "\n".join(faults)


def with_values(cfg, values):
    changed = copy.deepcopy(cfg)
    for key, value in values.items():
        *groups, leaf = key.split(".")
        node = changed
        for group in groups:
            node = node[group]
        node[leaf] = value
    return changed


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x", "paths.outputs": "o", "paths.cache": "c", "grid.jobs": 3, "logger": {"name": "wandb"}},
        {"trainer.device": "cuda", "trainer.num_threads": 2, "task.name": "again", "embedder.devices": 4},
    ],
)
def test_hash_forgets_where_and_by_whom(default, values):
    assert config_hash(with_values(default, values)) == config_hash(default)
    assert config_hash(dict(reversed(default.items()))) == config_hash(default)


def test_hash_remembers_every_other_value(default):
    keys = [key for key, _ in flatten(default) if not set(key.split(".")) & set(DECLARATIONS)]
    forgotten = {key for key in keys if config_hash(with_values(default, {key: "x"})) == config_hash(default)}
    moved = {f"{group}._target_" for group in ("model", "embedder", "objective")}
    assert moved <= forgotten  # a class may move to another file
    groups = {key.split(".")[0] for key in forgotten - moved}
    assert groups == {
        "name",
        "paths",
        "logger",
        "grid",
        "optimized_metric",
        "rerun",
        "task",
        "trainer",
        "select_k",
        "teacher",
        "trust",
    }
    assert {key for key in forgotten if key.startswith("trainer")} == {
        "trainer.checkpoint_seconds",
        "trainer.device",
        "trainer.num_threads",
    }


def test_hash_reads_the_choice_of_num_topics_where_it_is_read(default):
    other = {"select_k.max_iter": 7}
    assert config_hash(with_values(default, other)) == config_hash(default)
    auto = with_values(default, {"num_topics": "auto"})
    assert config_hash(with_values(auto, other)) != config_hash(auto)
    alone = with_values(default, {"task.keys": ["select_k"]})
    assert config_hash(with_values(alone, other)) != config_hash(alone)


def test_changed_keys_are_named_with_both_values(default):
    other = with_values(default, {"data.sample": 9, "name": "x", "embedder.seed": 4})
    assert changed_keys(default, other) == ["data.sample (None -> 9)", "embedder.seed (0 -> 4)"]


@pytest.mark.parametrize(
    ("option", "group", "key", "other"),
    [("embedder=minilm", "embedder", "long", "mean"), ("model=prodlda", "model", "has_shift", False)],
)
def test_an_option_added_later_does_not_orphan_earlier_runs(option, group, key, other):
    now = compose([option])
    earlier = with_values(now, {})
    del earlier[group][key]
    assert changed_keys(earlier, now) == []
    assert config_hash(earlier) == config_hash(now)
    changed = with_values(now, {f"{group}.{key}": other})
    assert changed_keys(earlier, changed) == [f"{group}.{key} (absent -> {other})"]


def test_task_may_depend_on_some_keys_only(default):
    embed = with_values(default, {"task.keys": ["data", "embedder"]})
    assert config_hash(with_values(embed, {"num_topics": 7, "model.name": "x"})) == config_hash(embed)
    assert config_hash(with_values(embed, {"embedder.name": "x"})) != config_hash(embed)
