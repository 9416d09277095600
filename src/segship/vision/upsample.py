"""Masks and scores at the image's own size from low-resolution logits.

The mask is the one that PyTorch gives, label for label: logits resized bilinearly, then the argmax. It is cheap because
only pixels near class borders are interpolated; see `segship.vision.borders` for why that is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from segship.vision import borders, dense, native
from segship.vision import taps as axis
from segship.vision.label_maps import label_dtype
from segship.vision.runs import group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.vision.taps import Taps

    Labels = NDArray[np.uint8 | np.uint16]

__all__ = ["Step", "decide", "labels", "logit_above", "operators", "probabilities", "score_above", "scores"]

_CACHE = 400_000  # floats


@dataclass(frozen=True)
class Step:
    """One resize of the logits, and the part of the result that is kept.

    Attributes:
        size: (height, width) to resize to.
        crop: (height, width) of the part that goes on, or None for all of it.
        origin: (top, left) of that part.
        nearest: Whether each pixel takes the nearest cell alone; otherwise the resize is bilinear.
    """

    size: tuple[int, int]
    crop: tuple[int, int] | None = None
    origin: tuple[int, int] = (0, 0)
    nearest: bool = False


def labels(
    logits: NDArray[np.float32],
    steps: Sequence[Step],
    *,
    align_corners: bool,
    threshold: float | None = None,
    activated: bool = False,
) -> Labels:
    """Resize logits through ``steps`` and decide each pixel.

    Args:
        logits: float32 (C, h, w).
        steps: Resizes and crops, in order.
        align_corners: How each resize places its cells, as in torch's ``interpolate``.
        threshold: None: the label is the argmax over C, the first of equals. A number: C is 1, and the label is
            whether the sigmoid of the logit is above it.
        activated: What is called logits are probabilities: no sigmoid is taken of them.

    Returns:
        (H, W) at the size of the last step, uint8, or uint16 when C is above 256.
    """
    rows, columns = operators(logits.shape[1:], tuple(steps), align_corners=align_corners)
    return decide(logits, rows, columns, threshold=threshold, activated=activated)


def scores(
    logits: NDArray[np.float32],
    steps: Sequence[Step],
    *,
    align_corners: bool,
    sigmoid: bool = False,
    activated: bool = False,
) -> NDArray[np.float32]:
    """Resize logits through ``steps`` and turn them into probabilities.

    Args:
        logits: float32 (C, h, w).
        steps: Resizes and crops, in order.
        align_corners: How each resize places its cells.
        sigmoid: Each channel by itself, rather than softmax over C.
        activated: What is called logits are probabilities, and stays as it is.

    Returns:
        float32 (C, H, W) in 0-1.
    """
    rows, columns = operators(logits.shape[1:], tuple(steps), align_corners=align_corners)
    return probabilities(logits, rows, columns, sigmoid=sigmoid, activated=activated)


@lru_cache(maxsize=32)
def operators(size: tuple[int, int], steps: tuple[Step, ...], *, align_corners: bool) -> tuple[Taps, Taps]:
    """Return the whole chain as one operator for the rows and one for the columns.

    Args:
        size: (height, width) of the logits.
        steps: Resizes and crops, in order.
        align_corners: How each resize places its cells.
    """
    return _chain(size, steps, 0, align_corners=align_corners), _chain(size, steps, 1, align_corners=align_corners)


def _chain(size: tuple[int, int], steps: tuple[Step, ...], side: int, *, align_corners: bool) -> Taps:
    chain = axis.linear(size[side], size[side], align_corners=align_corners)
    for step in steps:
        sides = len(chain), step.size[side]
        resize = axis.nearest(*sides) if step.nearest else axis.linear(*sides, align_corners=align_corners)
        kept = axis.part(resize, step.origin[side], (step.crop or step.size)[side])
        chain = axis.compose(kept, chain)
    return chain


def decide(
    logits: NDArray[np.float32], rows: Taps, columns: Taps, *, threshold: float | None = None, activated: bool = False
) -> Labels:
    """Labels from logits and any convex operators; the engine of `labels`.

    Args:
        logits: float32 (C, h, w). An undefined value (NaN) wins wherever it has a say, as in torch; a cell of weight
            zero has none, whatever its value.
        rows: Operator of the rows, h cells.
        columns: Operator of the columns, w cells.
        threshold: As for `labels`.
        activated: As for `labels`.

    Returns:
        (H, W), uint8, or uint16 when C is above 256.
    """
    logits = np.ascontiguousarray(logits, np.float32)
    cut = None if threshold is None else score_above(threshold, activated=activated)
    if native.is_used() and (cut is None or np.isfinite(cut)):
        return native.decide(logits, rows, columns, cut)
    finite = _all_finite(logits)
    if cut is not None:
        if not finite or not np.isfinite(cut):
            above = np.greater_equal if cut == -np.inf else np.greater
            decided: Labels = above(dense.resize_exactly(logits, rows, columns)[0], cut).view(np.uint8)
            return decided
        logits = np.concatenate((np.full_like(logits, cut), logits))
    dtype = label_dtype(len(logits))
    if not finite:
        winner: Labels = dense.resize_exactly(logits, rows, columns).argmax(axis=0).astype(dtype)
        return winner
    return _decide_finite(logits, rows, columns, dtype)


def _decide_finite(logits: NDArray[np.float32], rows: Taps, columns: Taps, dtype: type[np.uint8 | np.uint16]) -> Labels:
    winners = _winners(logits, dtype)
    if rows.is_identity and columns.is_identity:
        return winners
    doubts = borders.in_doubt(winners, group(rows), group(columns))
    if _costs_more(logits, doubts, len(rows) * len(columns)):
        return dense.labels(logits, rows, columns, dtype)
    out = winners.take(columns.index[:, 0], axis=1).take(rows.index[:, 0], axis=0)
    for blocks in doubts:
        if len(blocks):
            borders.settle(logits, blocks, out)
    return out


def _costs_more(logits: NDArray[np.float32], doubts: list[borders.Blocks], pixels: int) -> bool:
    """Whether settling the doubts takes longer than interpolating everything (measured nanoseconds)."""
    doubtful = sum(len(blocks) * blocks.pixels for blocks in doubts)
    if 4 * doubtful < pixels:
        return False
    largest = max(doubts, key=lambda blocks: len(blocks) * blocks.pixels)
    rivals = borders.candidates_per_block(logits, largest) - 1
    finding = sum(len(blocks) * (100 + 3.0 * len(logits) * blocks.support) for blocks in doubts)
    return finding + 4.0 * rivals * doubtful > 0.8 * len(logits) * pixels


def _winners(logits: NDArray[np.float32], dtype: type[np.uint8 | np.uint16]) -> Labels:
    """Argmax over C of each cell, the first of equals.

    NumPy's argmax along the first axis is slow; a maximum and comparisons, a cacheful at a time, are not.
    """
    classes, height, width = logits.shape
    winner: Labels = np.empty((height, width), dtype)
    if dtype is not np.uint8:
        np.copyto(winner, logits.argmax(axis=0), casting="unsafe")
        return winner
    size = max(1, _CACHE // (classes * width))
    # Earlier classes weigh more; 256 wraps to 0, which then stands for class 0.
    rank = np.arange(classes, 0, -1).astype(np.uint8)[:, None, None]
    for first in range(0, height, size):
        band = logits[:, first : first + size]
        equal = (band == band.max(axis=0)).view(np.uint8)
        equal *= rank
        winner[first : first + size] = np.uint8(classes - 1) - (equal.max(axis=0) - np.uint8(1))
    return winner


def probabilities(
    logits: NDArray[np.float32], rows: Taps, columns: Taps, *, sigmoid: bool = False, activated: bool = False
) -> NDArray[np.float32]:
    """Probabilities from logits and any convex operators; the engine of `scores`.

    Args:
        logits: float32 (C, h, w).
        rows: Operator of the rows, h cells.
        columns: Operator of the columns, w cells.
        sigmoid: Each channel by itself, rather than softmax over C.
        activated: As for `scores`.

    Returns:
        float32 (C, H, W) in 0-1.
    """
    logits = np.ascontiguousarray(logits, np.float32)
    if native.is_used():
        return native.scores(logits, rows, columns, sigmoid=sigmoid, activated=activated)
    activate = _as_it_is if activated else _sigmoid if sigmoid else _softmax
    if not _all_finite(logits):
        return activate(dense.resize_exactly(logits, rows, columns))
    return dense.resize(logits, rows, columns, activate)


def _all_finite(logits: NDArray[np.float32]) -> bool:
    """A sum is finite only when all of its terms are, and is faster to take."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(logits.sum()))


def _as_it_is(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """In place, over the first axis."""
    with np.errstate(invalid="ignore"):
        np.subtract(values, values.max(axis=0), out=values)
        np.exp(values, out=values)
        np.divide(values, values.sum(axis=0), out=values)
    return values


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """In place."""
    with np.errstate(over="ignore"):
        np.negative(values, out=values)
        np.exp(values, out=values)
        values += 1
        np.reciprocal(values, out=values)
    return values


def score_above(threshold: float, *, activated: bool) -> float:
    """Return the float32 x such that a network's score y means label 1 exactly when y > x.

    Args:
        threshold: Of the probability.
        activated: Whether scores are probabilities, rather than logits.
    """
    return float(np.float32(threshold)) if activated else logit_above(threshold)


@lru_cache(maxsize=16)
def logit_above(threshold: float) -> float:
    """Return the float32 x such that float32 sigmoid(y) > threshold exactly when y > x.

    Found by bisection, because ``log(t / (1 - t))`` misses where the sigmoid rounds: near 0, near 1 and next to a tie.
    """
    level = np.float32(threshold)
    low, high = np.float32(-200), np.float32(200)  # beyond, float32 sigmoid is 0 and 1
    if level < 0:
        return -np.inf
    if level >= 1:
        return np.inf
    while True:
        middle = np.float32((float(low) + float(high)) / 2)
        if middle in (low, high):
            return float(low)
        if _sigmoid(np.array([middle]))[0] > level:
            high = middle
        else:
            low = middle
