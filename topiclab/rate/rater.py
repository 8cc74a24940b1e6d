"""The rater that the group `rating` chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from topiclab.config.instantiate import build
from topiclab.metrics.rating import Rater
from topiclab.settings import Trainer

Question = Annotated[str, Field(pattern=r"\{words\}", description="a text that holds {words}")]


def make_rater(rating: Mapping[str, Any], trainer: Trainer) -> Rater | None:
    """The rater of a `conf/rating` group, None for rating=none; `trainer` gives device and precision.

    Raises FileNotFoundError or ValueError for a model or a key that is not there, before anything is fitted.
    """
    if rating["name"] == "none":
        return None
    return build(rating, trainer)
