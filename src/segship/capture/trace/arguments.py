"""Arguments of torch's functions in the forms torch takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.capture.trace.dims import SymbolicDim
from segship.capture.trace.tensors import TracedTensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["each", "first_example", "listed"]


def each(sides: Any, count: int = 2) -> list[Any]:
    """One number for all axes, or one for each."""
    return list(sides) if isinstance(sides, (list, tuple)) else [sides] * count


def listed(sides: Sequence[Any]) -> list[Any]:
    """Lengths given one by one, or as one sequence."""
    return list(sides[0]) if len(sides) == 1 and isinstance(sides[0], (tuple, list)) else list(sides)


def first_example(of: Any) -> Any:
    """A tensor as it is in the first example; any number for a length."""
    return of.examples[0] if isinstance(of, TracedTensor) else 0 if isinstance(of, SymbolicDim) else of
