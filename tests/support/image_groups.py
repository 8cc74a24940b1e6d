"""The `data` group of images, for tests that change a few of its keys."""

from __future__ import annotations

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from topiclab.config.compose import conf_dir


def data_group(name, **changed):
    """Return the plain `data` group of conf/data/<name>.yaml with some keys changed."""
    with initialize_config_dir(str(conf_dir().resolve()), version_base="1.3"):
        data = OmegaConf.to_container(compose("config", overrides=[f"data={name}"]).data)
    return {**data, **changed}
