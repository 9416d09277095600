"""The search for the layers that must stay in floating point so that int8 passes its gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["Attempt", "rank_layers", "search"]

_Result = TypeVar("_Result")


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


def rank_layers(
    layers: Sequence[str],
    inputs: Sequence[NDArray[np.float32]],
    original: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    alone: Callable[[str], Callable[[NDArray[np.float32]], NDArray[np.float32]]],
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[str, float]]:
    """Order layers by the damage each does alone.

    Args:
        layers: Their names.
        inputs: Images to rank on, float32 (N, C, H, W) each; a few are enough.
        original: Computes the logits of an input in floating point.
        alone: Makes what computes the logits with only the named layer quantised.
        progress: Called with (done, all) after each layer.

    Returns:
        Names, and the mean absolute change of the logits as a share of the greatest; the worst first.
    """
    expected = [original(image) for image in inputs]
    greatest = max(float(np.abs(logits).max()) for logits in expected) or 1.0
    damage = []
    for done, name in enumerate(layers, start=1):
        run = alone(name)
        change = [float(np.abs(run(image) - want).mean()) for image, want in zip(inputs, expected, strict=True)]
        worst = float(np.mean(change)) / greatest
        damage.append((name, worst if np.isfinite(worst) else np.inf))  # NaN would have no place in any order
        if progress is not None:
            progress(done, len(layers))
    return sorted(damage, key=lambda entry: -entry[1])
