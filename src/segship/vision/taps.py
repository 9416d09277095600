"""Linear interpolation along one axis, as data: which cells each output position draws on, and how much.

A bilinear resize is one such operator for the rows and one for the columns. So is a chain of resizes and crops, and so
is the average of overlapping windows: operators compose, and all of them are convex (no weight is negative, the
weights of a position sum to one). `segship.vision.upsample` builds on that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Taps", "compose", "linear", "merge", "nearest", "part"]


@dataclass(frozen=True, eq=False)
class Taps:
    """A convex linear operator on one axis; n output positions, at most T taps each.

    Attributes:
        index: intp (n, T), the cells a position draws on, ascending. A position with fewer than T taps repeats its
            last cell.
        weight: float32 (n, T), in 0-1, each row sums to one; a repeated cell weighs zero.
        cells: Number of input cells.
    """

    index: NDArray[np.intp]
    weight: NDArray[np.float32]
    cells: int

    def __len__(self) -> int:
        return len(self.index)

    @property
    def is_identity(self) -> bool:
        """True where the output equals the input."""
        return self.index.shape == (self.cells, 1) and bool((self.index[:, 0] == np.arange(self.cells)).all())


@lru_cache(maxsize=64)
def linear(cells: int, positions: int, *, align_corners: bool) -> Taps:
    """Resize an axis as ``torch.nn.functional.interpolate(mode="bilinear", antialias=False)`` does.

    The float32 weights are torch's, bit for bit: source coordinates are rounded to float32 once, after a fused
    multiply-add (which double precision reproduces).

    Args:
        cells: Input size.
        positions: Output size.
        align_corners: Whether the centres of the outermost cells map onto each other, rather than the outer edges.

    Returns:
        One or two taps a position.
    """
    destination = np.arange(positions, dtype=np.float64)
    if cells == positions:
        source = destination.astype(np.float32)
    elif align_corners:
        scale = np.float32(cells - 1) / np.float32(positions - 1) if positions > 1 else np.float32(0)
        source = (destination * float(scale)).astype(np.float32)
    else:
        scale = np.float32(cells) / np.float32(positions)
        source = np.maximum((float(scale) * (destination + 0.5) - 0.5).astype(np.float32), np.float32(0))
    low = np.minimum(source.astype(np.intp), cells - 1)
    fraction = np.clip(source - low.astype(np.float32), np.float32(0), np.float32(1))
    high = np.minimum(low + 1, cells - 1)
    return merge(np.stack((low, high), axis=1), np.stack((1 - fraction, fraction), axis=1), cells)


@lru_cache(maxsize=64)
def nearest(cells: int, positions: int) -> Taps:
    """Resize an axis as OpenCV's ``INTER_NEAREST`` does, in double precision as there.

    Args:
        cells: Input size.
        positions: Output size.

    Returns:
        One tap a position.
    """
    place = np.floor(np.arange(positions, dtype=np.float64) * (1 / (positions / cells))).astype(np.intp)
    return Taps(np.minimum(place, cells - 1)[:, None], np.ones((positions, 1), np.float32), cells)


def part(taps: Taps, begin: int, positions: int) -> Taps:
    """Return the operator that yields only ``positions`` outputs of ``taps``, from ``begin`` on."""
    if positions == len(taps):
        return taps
    kept = slice(begin, begin + positions)
    return Taps(taps.index[kept], taps.weight[kept], taps.cells)


def compose(outer: Taps, inner: Taps) -> Taps:
    """Return the operator that equals ``inner`` followed by ``outer``."""
    if inner.is_identity:
        return outer
    if outer.is_identity:
        return inner
    positions = len(outer)
    index = inner.index[outer.index].reshape(positions, -1)
    weight = outer.weight.astype(np.float64)[:, :, None] * inner.weight[outer.index]
    return merge(index, weight.reshape(positions, -1), inner.cells)


def merge(index: NDArray[np.intp], weight: NDArray[np.floating], cells: int) -> Taps:
    """Sort taps, add up those on the same cell and drop those that weigh nothing.

    Args:
        index: intp (n, S), in any order, cells may repeat.
        weight: Any float type (n, S), each row sums to one.
        cells: Number of input cells.

    Returns:
        The same operator in the form that `Taps` demands.
    """
    heaviest = np.take_along_axis(index, weight.argmax(axis=1)[:, None], axis=1)
    index = np.where(weight > 0, index, heaviest)
    order = index.argsort(axis=1, kind="stable")
    index = np.take_along_axis(index, order, axis=1)
    weight = np.take_along_axis(weight, order, axis=1)
    place = np.zeros(index.shape, np.intp)
    place[:, 1:] = (index[:, 1:] != index[:, :-1]).cumsum(axis=1)
    rows = np.arange(len(index))[:, None]
    width = int(place.max()) + 1
    merged_index = np.repeat(index[:, -1:], width, axis=1)
    merged_index[rows, place] = index
    merged_weight = np.zeros((len(index), width))
    np.add.at(merged_weight, (np.broadcast_to(rows, place.shape), place), weight)
    return Taps(merged_index, merged_weight.astype(np.float32), cells)
