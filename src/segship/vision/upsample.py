"""Masks and scores at the image's own size from low-resolution logits.

The mask is the one that resizing the logits bilinearly and taking the argmax gives, label for label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from segship.vision import taps as axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.vision.taps import Taps

__all__ = ["Step", "labels", "scores"]


@dataclass(frozen=True)
class Step:
    """One bilinear resize of the logits, and the part of the result that is kept.

    Attributes:
        size: (height, width) to resize to.
        crop: (height, width) of the top left part that goes on, or None for all of it.
    """

    size: tuple[int, int]
    crop: tuple[int, int] | None = None


def labels(
    logits: NDArray[np.float32], steps: Sequence[Step], *, align_corners: bool, threshold: float | None = None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Resize logits through ``steps`` and decide each pixel.

    Args:
        logits: float32 (C, h, w).
        steps: Resizes and crops, in order.
        align_corners: How each resize places its cells, as in torch's ``interpolate``.
        threshold: None: the label is the argmax over C, the first of equals. A number: C is 1, and the label is
            whether the sigmoid of the logit is above it.

    Returns:
        (H, W) at the size of the last step, uint8, or uint16 when C is above 256.
    """
    rows, columns = operators(logits.shape[1:], tuple(steps), align_corners=align_corners)
    resized = _resize(logits, rows, columns)
    if threshold is not None:
        return (_sigmoid(resized[0]) > np.float32(threshold)).astype(np.uint8)
    winner: NDArray[np.uint8] = resized.argmax(axis=0).astype(np.uint8 if len(logits) <= 256 else np.uint16)  # noqa: PLR2004
    return winner


def scores(
    logits: NDArray[np.float32], steps: Sequence[Step], *, align_corners: bool, sigmoid: bool = False
) -> NDArray[np.float32]:
    """Resize logits through ``steps`` and turn them into probabilities.

    Args:
        logits: float32 (C, h, w).
        steps: Resizes and crops, in order.
        align_corners: How each resize places its cells.
        sigmoid: Each channel by itself, rather than softmax over C.

    Returns:
        float32 (C, H, W) in 0-1.
    """
    rows, columns = operators(logits.shape[1:], tuple(steps), align_corners=align_corners)
    resized = _resize(logits, rows, columns)
    if sigmoid:
        return _sigmoid(resized)
    np.subtract(resized, resized.max(axis=0), out=resized)
    np.exp(resized, out=resized)
    resized /= resized.sum(axis=0)
    return resized


@lru_cache(maxsize=32)
def operators(size: tuple[int, int], steps: tuple[Step, ...], *, align_corners: bool) -> tuple[Taps, Taps]:
    """The whole chain as one operator for the rows and one for the columns.

    Args:
        size: (height, width) of the logits.
        steps: Resizes and crops, in order.
        align_corners: How each resize places its cells.
    """
    return _chain(size, steps, 0, align_corners=align_corners), _chain(size, steps, 1, align_corners=align_corners)


def _chain(size: tuple[int, int], steps: tuple[Step, ...], side: int, *, align_corners: bool) -> Taps:
    chain = axis.linear(size[side], size[side], align_corners=align_corners)
    for step in steps:
        resize = axis.linear(len(chain), step.size[side], align_corners=align_corners)
        chain = axis.compose(axis.first(resize, (step.crop or step.size)[side]), chain)
    return chain


def _resize(logits: NDArray[np.float32], rows: Taps, columns: Taps) -> NDArray[np.float32]:
    across: NDArray[np.float32] = logits[:, :, columns.index[:, 0]] * columns.weight[:, 0]
    for tap in range(1, columns.index.shape[1]):
        across += logits[:, :, columns.index[:, tap]] * columns.weight[:, tap]
    down: NDArray[np.float32] = across[:, rows.index[:, 0]] * rows.weight[:, 0, None]
    for tap in range(1, rows.index.shape[1]):
        down += across[:, rows.index[:, tap]] * rows.weight[:, tap, None]
    return down


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        probability: NDArray[np.float32] = 1 / (1 + np.exp(-logits))
    return probability
