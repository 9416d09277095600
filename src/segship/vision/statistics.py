"""Normalisation by the values of the image itself: ranges, means and deviations that no table knows before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from segship.core.spec import Normalization, Statistics

__all__ = ["normalise"]

_LEAST = 1e-8  # of what is divided by, as in nnU-Net


def normalise(image: NDArray[Any], rule: Normalization) -> NDArray[np.float32]:
    """Clip each channel, scale it by its image's own values, then take the mean off and divide.

    Args:
        image: (H, W, C), its channels in the order of ``rule``.
        rule: What is done to each channel.

    Returns:
        float32 (C, H, W).
    """
    planes: NDArray[Any] = np.ascontiguousarray(image.transpose(2, 0, 1), rule.arithmetic)
    inside = np.any(image, axis=2)
    for number, (low, high) in enumerate(rule.clip or ()):
        np.clip(planes[number], low, high, out=planes[number])
    whole = {kind: _measure(planes, kind) for kind in {*rule.statistics} if kind.startswith("whole_")}
    for number, kind in enumerate(rule.statistics):
        if kind in {"nonzero_deviation", "inside_deviation"}:
            _shift_within(planes[number], inside if kind == "inside_deviation" else np.not_equal(planes[number], 0))
        elif kind != "none":
            _shift(planes[number], *(whole.get(kind) or _measure(planes[number], kind)))
    for number, numbers in enumerate(zip(rule.mean, rule.std, strict=True)):
        if numbers != (0.0, 1.0):
            _shift(planes[number], *np.array(numbers, rule.arithmetic))
    return planes.astype(np.float32, copy=False)


def _shift_within(plane: NDArray[np.float32], place: NDArray[np.bool_]) -> None:
    """Scale what lies within ``place`` by its own mean and deviation, and leave the rest alone."""
    if place.any():
        values = plane[place]
        _shift(values, *_measure(values, "deviation"))
        plane[place] = values


def _shift(plane: NDArray[Any], low: np.floating[Any], width: np.floating[Any]) -> None:
    plane -= low
    plane /= width


def _measure(values: NDArray[np.float32], kind: Statistics) -> tuple[np.float32, np.float32]:
    """What is taken off, and what is divided by."""
    if kind.endswith("deviation"):
        return np.float32(values.mean()), np.float32(max(values.std(), _LEAST))
    low = values.min()
    return np.float32(low), np.float32(max(values.max() - low, _LEAST))
