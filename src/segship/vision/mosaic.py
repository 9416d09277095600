"""Windows over an input put together: how much each says at each pixel, and the blocks in which pixels are decided.

Windows form a grid, so their weighted mean is separable: one convex operator for the rows and one for the columns, from
the low-resolution cells of all windows to the pixels of the result. A block of the result needs few of the windows,
which is how an image of any size is decided in flat memory; an image in memory is decided by the same blocks, so that
both give the same labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from segship.vision import taps as axis
from segship.vision import upsample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.vision.taps import Taps
    from segship.vision.upsample import Step

__all__ = ["Blend", "Block", "Logits", "Mosaic", "Windows", "block_edges", "block_places"]

Blend: TypeAlias = Literal["mean", "hann", "center"]
"""How overlapping windows are put together: ``"mean"``: all alike, as MMSegmentation's ``slide_inference``; ``"hann"``:
weighed by sine squared, which falls to zero at a window's edge; ``"center"``: the window whose centre is nearest."""

Logits: TypeAlias = "Callable[[int, int], NDArray[np.float32]]"
"""Returns float32 (C, h, w) of the window in a line and a column of the grid."""

_WHOLE = 2**22  # pixels up to which an image is decided at once
_SIDE = 1024  # pixels of a block's sides


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


@dataclass(frozen=True, eq=False)
class _Span:
    """A part of one axis: its operator on the cells that it draws on, and where these lie.

    Attributes:
        taps: From the cells that are drawn on.
        places: For each window that has some of them: its number, their places among all that are drawn on, and their
            places in the window.
    """

    taps: Taps
    places: tuple[tuple[int, slice, slice | NDArray[np.intp]], ...]


@dataclass(frozen=True, eq=False)
class Block:
    """A rectangle of the result.

    Attributes:
        rows: Its rows of the result.
        columns: Its columns of the result.
        windows: The windows it needs, as (line, column) of the grid.
    """

    rows: slice
    columns: slice
    windows: tuple[tuple[int, int], ...]
    _spans: tuple[_Span, _Span]

    @property
    def operators(self) -> tuple[Taps, Taps]:
        """Of the rows and of the columns, on what `gather` returns."""
        return self._spans[0].taps, self._spans[1].taps

    def gather(self, logits: Logits) -> NDArray[np.float32]:
        """Lay the cells that the block draws on side by side.

        Args:
            logits: Returns float32 (C, h, w) of a window (line, column); called for each of `windows`.

        Returns:
            float32 (C, cells of the rows, cells of the columns).
        """
        down, across = self._spans
        first = logits(*self.windows[0])
        cells = np.empty((len(first), down.taps.cells, across.taps.cells), np.float32)
        for line, rows, own_rows in down.places:
            for column, columns, own_columns in across.places:
                cells[:, rows, columns] = logits(line, column)[:, own_rows][:, :, own_columns]
        return cells


class Mosaic:
    """The windows of one input, and the way from their cells to the pixels of the result.

    Args:
        windows: Where they lie.
        cells: (height, width) of one window's logits.
        steps: From the input's size to the result's.
        align_corners: How each resize places its cells.
        within: From a window's logits to the window's pixels; empty: one resize.
        blend: How overlapping windows are put together.
    """

    def __init__(
        self,
        windows: Windows,
        cells: tuple[int, int],
        steps: Sequence[Step],
        *,
        align_corners: bool,
        within: Sequence[Step] = (),
        blend: Blend = "mean",
    ) -> None:
        chain = tuple(within) or (upsample.Step(windows.window),)
        self._cells = cells
        self._axes = _operators(windows, cells, chain, tuple(steps), blend, align_corners=align_corners)
        self.size = (len(self._axes[0]), len(self._axes[1]))
        """(height, width) of the result."""

    def block(self, rows: slice, columns: slice) -> Block:
        """Return a rectangle of the result.

        Args:
            rows: Its rows, with a start and a stop.
            columns: Its columns, with a start and a stop.
        """
        spans = (
            _span(self._axes[0], self._cells[0], rows.start, rows.stop),
            _span(self._axes[1], self._cells[1], columns.start, columns.stop),
        )
        needed = tuple((line, column) for line, *_ in spans[0].places for column, *_ in spans[1].places)
        return Block(rows, columns, needed, spans)

    def blocks(self) -> list[Block]:
        """Return all blocks of the result, line by line from the left."""
        return [self.block(*place) for place in block_places(self.size)]


def block_edges(size: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Return where the blocks of a result begin and the last ends: its rows, and its columns.

    Args:
        size: (height, width) of the result.
    """
    if size[0] * size[1] <= _WHOLE:
        return [0, size[0]], [0, size[1]]
    return [*range(0, size[0], _SIDE), size[0]], [*range(0, size[1], _SIDE), size[1]]


def block_places(size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Return the rows and columns of each block of a result, line by line from the left.

    Args:
        size: (height, width) of the result.
    """
    down, across = block_edges(size)
    return [(slice(*rows), slice(*columns)) for rows in pairwise(down) for columns in pairwise(across)]


@lru_cache(maxsize=16)
def _operators(
    windows: Windows,
    cells: tuple[int, int],
    within: tuple[Step, ...],
    steps: tuple[Step, ...],
    blend: Blend,
    *,
    align_corners: bool,
) -> tuple[Taps, Taps]:
    """From the cells of all windows, laid side by side, to the last step's size."""
    window = upsample.operators(cells, within, align_corners=align_corners)
    starts = (windows.tops, windows.lefts)
    rows, columns = (_mean(starts[side], windows.size[side], window[side], blend) for side in range(2))
    later = upsample.operators(windows.size, steps, align_corners=align_corners)
    return axis.compose(later[0], rows), axis.compose(later[1], columns)


def _mean(starts: tuple[int, ...], length: int, resize: Taps, blend: Blend) -> Taps:
    """Each position is the weighted mean of the windows that cover it."""
    width = resize.index.shape[1]
    shares = _shares(starts, length, len(resize), blend)
    total, count = np.zeros(length), np.zeros(length, np.intp)
    for start, share in zip(starts, shares, strict=True):
        total[start : start + len(resize)] += share
        count[start : start + len(resize)] += 1
    index = np.zeros((length, int(count.max()) * width), np.intp)
    weight = np.zeros(index.shape)
    filled = np.zeros(length, np.intp)
    for number, (start, share) in enumerate(zip(starts, shares, strict=True)):
        covered = np.arange(start, start + len(resize))
        slots = filled[covered, None] * width + np.arange(width)
        index[covered[:, None], slots] = resize.index + number * resize.cells
        weight[covered[:, None], slots] = resize.weight * share[:, None] / total[covered, None]
        filled[covered] += 1
    return axis.merge(index, weight, len(starts) * resize.cells)


def _shares(starts: tuple[int, ...], length: int, window: int, blend: Blend) -> list[NDArray[np.float64]]:
    """How much each window weighs at each of its pixels, before all at a pixel are brought to one."""
    if blend == "center":
        middles = np.asarray(starts) + (window - 1) / 2
        nearest = np.abs(np.arange(length)[:, None] - middles).argmin(axis=1)
        return [(nearest[start : start + window] == number).astype(np.float64) for number, start in enumerate(starts)]
    share = np.ones(window)
    if blend == "hann":
        share = np.sin(np.pi * (np.arange(window) + 0.5) / window) ** 2
    return [share] * len(starts)


@lru_cache(maxsize=128)
def _span(taps: Taps, cells: int, begin: int, end: int) -> _Span:
    some = axis.part(taps, begin, end - begin)
    drawn, local = np.unique(some.index, return_inverse=True)
    own = drawn // cells
    edges = [0, *(np.flatnonzero(own[1:] != own[:-1]) + 1).tolist(), len(drawn)]
    places = tuple(
        (int(own[low]), slice(low, high), _run(drawn[low:high] - own[low] * cells)) for low, high in pairwise(edges)
    )
    return _Span(axis.Taps(local.reshape(some.index.shape), some.weight, len(drawn)), places)


def _run(places: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """The places as a slice where they follow each other."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first + 1 == len(places) else places
