"""Sliding windows: an image seen piece by piece, the overlapping logits averaged.

Laid side by side, the low-resolution logits of all windows are one large map, and resizing each window, adding up and
dividing by the count is one convex operator (`segship.vision.mosaic`). The exact shortcut of `segship.vision.upsample`
therefore holds across windows, and no full-resolution sum is ever kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from segship.core.errors import InputError, SizeError, UnsupportedError
from segship.vision import upsample
from segship.vision.label_maps import label_dtype
from segship.vision.mosaic import Mosaic, Windows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from segship.core.spec import SizeRule, Slide
    from segship.vision.mosaic import Logits
    from segship.vision.upsample import Step

__all__ = ["Windows", "labels", "mean_of_members", "merge", "plan", "scores"]


_LEAST_WEIGHT = 1e-3


def plan(size: tuple[int, int], slide: Slide, sizes: SizeRule | None = None) -> Windows:
    """Lay windows over an input, as MMSegmentation's ``slide_inference`` does.

    The last line and column are moved back inside, or all are spread evenly where the slide says so; an input that is
    smaller than the window is seen whole.

    Args:
        size: (height, width) of the input.
        slide: Window and stride.
        sizes: What the engine takes, or None for anything.

    Returns:
        The plan.

    Raises:
        InputError: The stride leaves gaps between windows.
        SizeError: The engine cannot take windows of this size.
    """
    _require_no_gaps(slide)
    window = (min(slide.crop[0], size[0]), min(slide.crop[1], size[1]))
    if sizes is not None and not sizes.allows(*window):
        raise SizeError(
            f"the image becomes {size[0]}x{size[1]} pixels, so its windows are {window[0]}x{window[1]}; "
            f"this package takes {sizes}: use a larger image, or export with a dynamic shape"
        )
    tops, lefts = (_places(size[side], window[side], slide, side) for side in range(2))
    return Windows(size, window, tops, lefts)


def _require_no_gaps(slide: Slide) -> None:
    if slide.stride[0] > slide.crop[0] or slide.stride[1] > slide.crop[1]:
        raise InputError(
            f"a stride of {slide.stride} leaves gaps between windows of {slide.crop}: it must not be larger"
        )


def _places(size: int, window: int, slide: Slide, side: int) -> tuple[int, ...]:
    """Where windows begin along one side."""
    if slide.nearest:
        step = slide.stride[side] if slide.share is None else slide.crop[side] * slide.share
        return _spread_nearest(size, window, step)
    return (_spread if slide.spread else _starts)(size, window, slide.stride[side])


def labels(
    logits: NDArray[np.float32],
    windows: Windows,
    steps: Sequence[Step],
    *,
    align_corners: bool,
    threshold: float | None = None,
    activated: bool = False,
) -> NDArray[np.uint8 | np.uint16]:
    """Average the windows' logits, resize the average through ``steps`` and decide each pixel.

    Args:
        logits: float32 (n, C, h, w), of all windows in the order of `Windows.batches`.
        windows: The plan.
        steps: From the input's size to the image's.
        align_corners: How each resize places its cells.
        threshold: As for `segship.vision.upsample.labels`.
        activated: As for `segship.vision.upsample.labels`.

    Returns:
        (H, W), uint8, or uint16 when C is above 256.
    """
    mosaic = Mosaic(windows, (logits.shape[2], logits.shape[3]), steps, align_corners=align_corners)
    found: NDArray[np.uint8 | np.uint16] = np.empty(mosaic.size, label_dtype(logits.shape[1]))
    for block in mosaic.blocks():
        cells = block.gather(_each(logits, windows))
        labels = upsample.decide(cells, *block.operators, threshold=threshold, activated=activated)
        found[block.rows, block.columns] = labels
    return found


def scores(
    logits: NDArray[np.float32],
    windows: Windows,
    steps: Sequence[Step],
    *,
    align_corners: bool,
    sigmoid: bool = False,
    activated: bool = False,
) -> NDArray[np.float32]:
    """Average the windows' logits, resize the average through ``steps`` and turn it into probabilities.

    Args:
        logits: float32 (n, C, h, w), of all windows in the order of `Windows.batches`.
        windows: The plan.
        steps: From the input's size to the image's.
        align_corners: How each resize places its cells.
        sigmoid: Each channel by itself, rather than softmax over C.
        activated: As for `segship.vision.upsample.scores`.

    Returns:
        float32 (C, H, W) in 0-1.
    """
    mosaic = Mosaic(windows, (logits.shape[2], logits.shape[3]), steps, align_corners=align_corners)
    found = np.empty((logits.shape[1], *mosaic.size), np.float32)
    for block in mosaic.blocks():
        cells = block.gather(_each(logits, windows))
        some = upsample.probabilities(cells, *block.operators, sigmoid=sigmoid, activated=activated)
        found[:, block.rows, block.columns] = some
    return found


def merge(logits: NDArray[np.float32], windows: Windows, slide: Slide) -> NDArray[np.float32]:
    """Put windows together whose pixels do not all weigh the same; `labels` and `scores` are for those that do.

    Args:
        logits: float32 (n, C, *window), of all windows in the order of `Windows.batches`.
        windows: The plan.
        slide: How much each pixel of a window weighs.

    Returns:
        float32 (C, H, W) at the input's size.

    Raises:
        UnsupportedError: The logits are smaller than the windows.
    """
    height, width = windows.window
    if logits.shape[2:] != windows.window:
        raise UnsupportedError(
            f"the network returns {logits.shape[2]}x{logits.shape[3]} scores of windows of {height}x{width}: windows "
            "are weighed by a Gaussian where there is a score for every pixel"
        )
    weights = _weights(windows.window, slide)
    members = [_summed(each, windows, weights) for each in np.split(logits, slide.members, axis=1)]
    return mean_of_members(np.concatenate(members), slide).astype(np.float32)


def mean_of_members(scores: NDArray[Any], slide: Slide | None) -> NDArray[Any]:
    """The mean of the networks whose scores lie one behind another, summed in their own precision, as nnU-Net does it.

    Args:
        scores: (members * C, H, W).
        slide: How many members there are; None: one.

    Returns:
        (C, H, W).
    """
    if slide is None or slide.members == 1:
        return scores
    first, *others = np.split(scores, slide.members)
    total = first.copy()
    for other in others:
        total += other
    total /= total.dtype.type(slide.members)
    return total


def _summed(logits: NDArray[np.float32], windows: Windows, weights: NDArray[Any]) -> NDArray[Any]:
    """The windows of one network, put together in the precision of ``weights``."""
    height, width = windows.window
    total = np.zeros((logits.shape[1], *windows.size), weights.dtype)
    count = np.zeros(windows.size, weights.dtype)
    corners = [(top, left) for top in windows.tops for left in windows.lefts]
    for found, (top, left) in zip(logits, corners, strict=True):
        rows, columns = slice(top, top + height), slice(left, left + width)
        # As torch adds float32 to half in place: in float32, rounded once.
        total[:, rows, columns] = total[:, rows, columns].astype(np.float32) + found * weights
        count[rows, columns] += weights
    total /= count
    return total


def _weights(window: tuple[int, int], slide: Slide) -> NDArray[Any]:
    """How much each pixel of a window weighs: float16 in nnU-Net, float32 in MONAI; the sums are of that type.

    Sources: nnunetv2.inference.sliding_window_prediction.compute_gaussian; monai.data.utils.compute_importance_map.
    """
    if slide.blend == "mean_half":
        return np.ones(window, np.float16)
    half = slide.blend == "gaussian_half"
    sides = []
    for length in window:
        middle = length // 2 if half else (length - 1) / 2
        sides.append(np.exp(-0.5 * ((np.arange(length) - middle) / (slide.sigma * length)) ** 2))
    weights: NDArray[np.float64] = np.outer(*sides)
    if not half:
        raised: NDArray[np.float32] = np.maximum(weights, max(weights.min(), _LEAST_WEIGHT)).astype(np.float32)
        return raised
    found: NDArray[np.float16] = (weights * (10 / weights.max())).astype(np.float16)
    found[found == 0] = found[found > 0].min()
    return found


def _spread_nearest(length: int, window: int, step: float) -> tuple[int, ...]:
    """As `_spread`, rounded to the nearest pixel, halves to the even one, as nnU-Net does."""
    last = length - window
    count = math.ceil(last / step) + 1
    return tuple(round(last / (count - 1) * number) if number else 0 for number in range(count))


def _starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    last = length - window
    return (*range(0, last, stride), last)


def _spread(length: int, window: int, stride: int) -> tuple[int, ...]:
    """Windows at equal distances, rounded down as Hugging Face's EoMT does: a double that is not quite a whole number.

    There are as many as `_starts` makes. The last ends where the input does; the library's own ends a line before in a
    few of a thousand lengths, and leaves that line without a score.
    """
    last = length - window
    count = -(-last // stride) + 1
    if count == 1:
        return (0,)
    overlap = (count * window - length) / (count - 1)
    return (*(int(number * (window - overlap)) for number in range(count - 1)), last)


def _each(logits: NDArray[np.float32], windows: Windows) -> Logits:
    """The logits of a window by its place in the grid."""
    return lambda line, column: logits[line * len(windows.lefts) + column]
