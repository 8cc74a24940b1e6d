"""The presets: their configuration, their number of parameters, and the tasks that refuse them."""

import pytest
import torch

from topiclab.config.compose import ConfigError, compose, compose_unchecked, conf_dir, to_plain
from topiclab.minillm.network import MiniLLM, Shape

PUBLISHED = {"nano": 1.02, "micro": 7.54, "26m": 25.83, "26m_deep": 26.06, "64m": 63.91}  # millions


def preset(name):
    return to_plain(compose_unchecked([f"model=minillm/{name}"]))["model"]


def test_every_preset_is_here():
    files = {path.stem for path in (conf_dir() / "model" / "minillm").glob("[!_]*.yaml")}
    assert files == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_counted_three_ways(name):
    cfg = preset(name)
    assert cfg.keys() == {"name", "_target_", "modality", "shape", "dropout"}
    assert cfg["name"] == f"minillm_{name}"
    shape = Shape(**cfg["shape"])
    with torch.device("meta"):
        model = MiniLLM(shape, dropout=cfg["dropout"])
    num = sum(weight.numel() for weight in model.parameters())
    assert num == shape.num_parameters
    assert round(num / 1e6, 2) == PUBLISHED[name]


def test_the_reference_shape_adds_up_by_hand():
    attention = 512 * 512 * 2 + 512 * 128 * 2 + 2 * 64
    layer = attention + 3 * 512 * 1408 + 2 * 512
    assert 6400 * 512 + 8 * layer + 512 == 25_830_912 == Shape(**preset("26m")["shape"]).num_parameters


def test_fits_refuse_a_language_model():
    with pytest.raises(ConfigError, match="model=minillm_nano is a language model"):
        compose(["model=minillm/nano"])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("head_dim=63", "an even number"),
        ("vocab_size=100", "from 272 to 65536"),
        ("num_heads=0", "from 1 on"),
    ],
)
def test_shapes_out_of_range_are_refused(value, told):
    with pytest.raises(ConfigError, match=told):
        compose(["model=minillm/nano", f"model.shape.{value}"])
