"""The rater that the group `rating` chooses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_class

from topiclab.metrics.rating import Rater


def make_rater(rating: Mapping[str, Any], trainer: Mapping[str, Any]) -> Rater | None:
    """The object of a `conf/rating` group, None for rating=none; `trainer` gives device and precision.

    Raises FileNotFoundError or ValueError for a model or a key that is not there, before anything is fitted.
    """
    if rating["name"] == "none":
        return None
    options = {name: value for name, value in rating.items() if name not in ("_target_", "name")}
    target: Any = get_class(rating["_target_"])
    if "device" in inspect.signature(target).parameters:
        options |= {"device": trainer["device"], "precision": trainer["precision"]}
    return target(**options)
