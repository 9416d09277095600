"""Records that cannot be changed, of which everything that travels is made."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Frozen", "Positive"]

Positive = Annotated[int, Field(gt=0)]
"""A positive whole number."""


class Frozen(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
