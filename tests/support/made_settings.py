"""The fixed groups of the configuration as types, with the values of conf/ but for what a test names."""

from dataclasses import replace

import yaml

from topiclab.config.compose import compose, conf_dir
from topiclab.config.configuration import Configuration
from topiclab.settings import Adaptation, Trainer, Vocabulary


def read(path):
    return yaml.safe_load((conf_dir() / path).read_text(encoding="utf-8"))


CPU = {"device": "cpu", "precision": "fp32"}


def trainer(**changes):
    """Return conf/trainer on the CPU in fp32."""
    return replace(Trainer.of(read("trainer/default.yaml")), **{**CPU, **changes})


def adaptation(method, **changes):
    """mode.adaptation of conf/mode, by this method."""
    return Adaptation(method, **{**read("mode/unsupervised.yaml")["adaptation"], **changes})


def vocabulary(**changes):
    return Vocabulary.of({**read("data/_base.yaml")["vocabulary"], **changes})


def configured(*overrides):
    """Return what a task receives for these overrides."""
    return Configuration.of(compose(overrides))
