"""Bounded types for constructor arguments: configurations are checked against these annotations.

A description completes the error message: "model.dropout=2 is refused: give a number from 0 on and
below 1". Choices are `Literal[...]`, and `X | None` lets null through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

# Whole numbers
Count = Annotated[int, Field(ge=1, description="a whole number from 1 on")]
Natural = Annotated[int, Field(ge=0, description="a whole number from 0 on")]
Seed = Annotated[int, Field(ge=0, lt=2**32, description="a whole number from 0 to 2^32 - 1")]

# Numbers
Real = Annotated[float, Field(allow_inf_nan=False, description="a number")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number above 0")]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number from 0 on")]
Unit = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
Share = Annotated[float, Field(ge=0, lt=1, description="a number from 0 on and below 1")]
PositiveShare = Annotated[float, Field(gt=0, le=1, description="a share above 0, up to 1")]

# Lists
Sizes = Annotated[list[Count], Field(min_length=1, description="a list such as [800,800]")]
Betas = Annotated[list[Share], Field(min_length=2, max_length=2, description="two below 1")]

# Keyword arguments of another class, named in Annotated: `encoder: Annotated[Options, Encoder]`
Options = Mapping[str, Any]
