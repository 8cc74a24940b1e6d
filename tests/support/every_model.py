"""The models of texts in conf/model, and the settings that make each of them quick to test.

What makes any model quick is given to those that have the key. What only one needs stands with it, in
tests/quick/<model>.yaml: lists of overrides for `planted` (600 documents whose topics must be found) and
`few` (a few documents). A model without such a file is fitted as it is configured.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from places import REPO

from topiclab.config.compose import compose_unchecked, conf_dir
from topiclab.config.rules import flatten

QUICK = REPO / "tests" / "quick"
NAMES = sorted(path.stem for path in (conf_dir() / "model").glob("[!_]*.yaml"))


@cache
def options_of(model: str) -> dict[str, Any]:
    """Dotted keys of a model's yaml and of those that it stands on, with their values."""
    composed = compose_unchecked([f"model={model}"])
    return dict(flatten(OmegaConf.to_container(composed["model"])))  # type: ignore[arg-type]


MODELS = [name for name in NAMES if options_of(name).get("modality") != "images"]
TRAINED = [name for name in MODELS if "max_epochs" in options_of(name)]  # by gradients


def quick_settings(model: str, scene: str, of_all: Sequence[str] = ()) -> list[str]:
    """Overrides for a scene: of of_all what concerns the model, then its own."""
    options = options_of(model)
    path: Path = QUICK / f"{model}.yaml"
    own = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    keys = {override: override.partition("=")[0].partition(".")[2] for override in of_all}
    return [*(override for override, key in keys.items() if key in options), *own.get(scene, [])]
