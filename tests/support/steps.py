"""One example of each geometry step. A new step is added here; what tries every step then tries it."""

from __future__ import annotations

from typing import get_args

from segship.core.geometry_steps import (
    GeometryStep,
    Letterbox,
    Pad,
    Resize,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeShortestEdge,
    ResizeToMultiple,
    ResizeWithin,
)

__all__ = ["EXAMPLES", "KINDS"]

EXAMPLES: tuple[GeometryStep, ...] = (
    Resize(width=97, height=64),
    ResizeShortestEdge(size=90, max_size=150),
    ResizeToMultiple(multiple_of=32),
    ResizeByEdge(short=77, long=140),
    ResizeEdges(short=80, long=120, multiple_of=16),
    ResizeNear(width=96, height=96, multiple_of=14),
    ResizeWithin(width=110, height=85),
    Letterbox(width=64, height=64),
    Pad(multiple_of=32),
)
KINDS = frozenset(get_args(get_args(GeometryStep)[0]))
"""All classes of steps."""
