"""The accuracy gate of int8, and the search for the layers that must not be quantised to pass it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.core.manifest import Accuracy

__all__ = ["Attempt", "Gate", "search"]

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Gate:
    """How much lower precision may cost, in points of IoU.

    Attributes:
        mean: Most that mIoU may change, up or down: int8 that gains a point is as untrustworthy as one that loses it.
        each: Most that any class may lose.
    """

    mean: float = 0.5
    each: float = 3.0

    def failures(self, before: Accuracy, after: Accuracy) -> list[str]:
        """What does not hold, in words; empty: the gate is passed.

        Args:
            before: Of the original network.
            after: Of the engine, on the same images.
        """
        found = []
        change = after.mIoU - before.mIoU
        if not abs(change) <= self.mean:
            found.append(f"mIoU {before.mIoU:.2f} -> {after.mIoU:.2f} ({change:+.2f}, at most {self.mean} allowed)")
        for name, old in before.IoU.items():
            new = after.IoU.get(name, 0.0)
            if not old - new <= self.each:
                found.append(f"{name} {old:.2f} -> {new:.2f} ({new - old:+.2f}, at most -{self.each} allowed)")
        return found


@dataclass(frozen=True)
class Attempt(Generic[_Result]):
    """One try of the search.

    Attributes:
        kept: Layers that were left in floating point.
        passed: Whether the gate held.
        result: What the try made.
    """

    kept: tuple[str, ...]
    passed: bool
    result: _Result


def search(
    layers: Sequence[str], attempt: Callable[[tuple[str, ...]], tuple[bool, _Result]]
) -> tuple[Attempt[_Result], bool]:
    """Find a small number of most sensitive layers to leave in floating point so that the gate holds.

    The number doubles until the gate holds, then is halved back between the last failure and the success: the gate is
    tried about 2 log2(layers) times.

    Args:
        layers: Most sensitive first.
        attempt: Quantises all but the given layers; returns whether the gate holds, and what was made.

    Returns:
        The attempt with the fewest layers that passed, and True; or the last one tried, with everything left in
        floating point, and False.
    """
    low, high = 0, min(1, len(layers))
    best = _try(layers, high, attempt)
    while not best.passed and high < len(layers):
        low, high = high, min(2 * high, len(layers))
        best = _try(layers, high, attempt)
    if not best.passed:
        return best, False
    while high - low > 1:
        middle = (low + high) // 2
        found = _try(layers, middle, attempt)
        if found.passed:
            best, high = found, middle
        else:
            low = middle
    return best, True


def _try(
    layers: Sequence[str], count: int, attempt: Callable[[tuple[str, ...]], tuple[bool, _Result]]
) -> Attempt[_Result]:
    kept = tuple(layers[:count])
    passed, result = attempt(kept)
    return Attempt(kept, passed, result)
