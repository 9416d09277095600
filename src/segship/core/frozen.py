"""Records that cannot be changed, of which everything that travels is made, and the bounds of what stands in them.

The bounds are far above what real networks have and far below what hangs a machine or fills its memory.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "Count",
    "Finite",
    "Frozen",
    "Multiple",
    "Name",
    "Positive",
    "Share",
    "Side",
    "Values",
    "Words",
]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_NAME, _LONGEST_WORDS = 255, 4096  # characters


def _require_plain(name: str) -> str:
    if found := _CONTROL.search(name):
        raise ValueError(f"it holds a character that is no text: {found[0]!r}")
    return name


def _plain(text: Any) -> Any:
    """What is told to people, on one line; what is too long for a sentence is cut off."""
    if not isinstance(text, str):
        return text
    plain = _CONTROL.sub(" ", text)
    return plain if len(plain) <= _LONGEST_WORDS else f"{plain[: _LONGEST_WORDS - 1]}…"


Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]
"""A positive whole number, of what is never a size of memory."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""How many there are; every language's numbers hold it."""
Side = Annotated[int, Field(gt=0, le=2**15)]
"""Height or width in pixels of what is allocated: OpenCV and Pillow stop a little above."""
Multiple = Annotated[int, Field(gt=0, le=4096)]
"""Of which a side is a multiple: strides and patches are a few hundred at most."""
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
"""A number that float32 holds, and its square root, too."""
Values = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=1024)]
"""A number for each channel or band; hyperspectral cameras have a few hundred."""
Share = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1)]
"""A share, 0-1."""
Name = Annotated[str, Field(max_length=_LONGEST_NAME), AfterValidator(_require_plain)]
"""A name that people read and programs compare: at most 255 characters, none of them a control character."""
Words = Annotated[str, BeforeValidator(_plain)]
"""What is told to people: one line, at most 4096 characters; control characters become blanks."""


class Frozen(BaseModel):
    """An immutable record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
