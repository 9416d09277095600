"""Sliding windows: an image seen piece by piece, the overlapping logits averaged.

Windows form a grid, so their average is separable: laid side by side, the low-resolution logits of all windows are one
large map, and resizing each window, adding up and dividing by the count is one convex operator for its rows and one
for its columns. The exact shortcut of `segship.vision.upsample` therefore holds across windows, and no full-resolution
sum is ever kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from segship.core.errors import InputError, SizeError
from segship.vision import taps as axis
from segship.vision import upsample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from segship.core.spec import SizeRule, Slide
    from segship.vision.taps import Taps
    from segship.vision.upsample import Step

__all__ = ["Windows", "labels", "plan", "scores"]


@dataclass(frozen=True)
class Windows:
    """The places of the windows over one input.

    Attributes:
        size: (height, width) of the input.
        window: (height, width) of every window.
        tops: First row of each line of windows, ascending.
        lefts: First column of each column of windows, ascending.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def batches(self, tensor: NDArray[np.float32], batch: int = 1) -> Iterator[NDArray[np.float32]]:
        """Yield the windows, line by line from the left.

        Args:
            tensor: float32 (1, C, H, W), H and W as planned.
            batch: Most windows to yield at once.

        Yields:
            float32 (n, C, *window), contiguous, n at most ``batch``.
        """
        height, width = self.window
        corners = [(top, left) for top in self.tops for left in self.lefts]
        for first in range(0, len(corners), batch):
            some = corners[first : first + batch]
            yield np.concatenate([tensor[:, :, top : top + height, left : left + width] for top, left in some])


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
    if slide.stride[0] > slide.crop[0] or slide.stride[1] > slide.crop[1]:
        raise InputError(
            f"a stride of {slide.stride} leaves gaps between windows of {slide.crop}: it must not be larger"
        )
    window = (min(slide.crop[0], size[0]), min(slide.crop[1], size[1]))
    if sizes is not None and not sizes.allows(*window):
        raise SizeError(
            f"the image becomes {size[0]}x{size[1]} pixels, so its windows are {window[0]}x{window[1]}; "
            f"this package takes {sizes}: use a larger image, or export with a dynamic shape"
        )
    starts = _spread if slide.spread else _starts
    tops, lefts = (starts(size[side], window[side], slide.stride[side]) for side in range(2))
    return Windows(size, window, tops, lefts)


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
    rows, columns = _operators(windows, logits.shape[2:], tuple(steps), align_corners=align_corners)
    return upsample.decide(_side_by_side(logits, windows), rows, columns, threshold=threshold, activated=activated)


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
    rows, columns = _operators(windows, logits.shape[2:], tuple(steps), align_corners=align_corners)
    return upsample.probabilities(_side_by_side(logits, windows), rows, columns, sigmoid=sigmoid, activated=activated)


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


def _side_by_side(logits: NDArray[np.float32], windows: Windows) -> NDArray[np.float32]:
    """One map (C, lines * h, columns * w) of all windows' logits."""
    _, classes, height, width = logits.shape
    lines, columns = len(windows.tops), len(windows.lefts)
    grid = logits.reshape(lines, columns, classes, height, width).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(grid).reshape(classes, lines * height, columns * width)


@lru_cache(maxsize=16)
def _operators(
    windows: Windows, cells: tuple[int, int], steps: tuple[Step, ...], *, align_corners: bool
) -> tuple[Taps, Taps]:
    """From the map of all windows to the last step's size."""
    starts = (windows.tops, windows.lefts)
    rows, columns = (
        _average(
            starts[side],
            windows.size[side],
            axis.linear(cells[side], windows.window[side], align_corners=align_corners),
        )
        for side in range(2)
    )
    later = upsample.operators(windows.size, steps, align_corners=align_corners)
    return axis.compose(later[0], rows), axis.compose(later[1], columns)


def _average(starts: tuple[int, ...], length: int, resize: Taps) -> Taps:
    """Each position is the mean of the windows that cover it."""
    width = resize.index.shape[1]
    count = np.zeros(length, np.intp)
    for start in starts:
        count[start : start + len(resize)] += 1
    index = np.zeros((length, int(count.max()) * width), np.intp)
    weight = np.zeros(index.shape)
    filled = np.zeros(length, np.intp)
    for number, start in enumerate(starts):
        covered = np.arange(start, start + len(resize))
        slots = filled[covered, None] * width + np.arange(width)
        index[covered[:, None], slots] = resize.index + number * resize.cells
        weight[covered[:, None], slots] = resize.weight / count[covered, None]
        filled[covered] += 1
    return axis.merge(index, weight, len(starts) * resize.cells)
