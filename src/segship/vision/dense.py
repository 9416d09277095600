"""Resizing every class at every pixel, in bands of rows that stay within a bounded memory.

The way that scores need, and the way for masks whose logits disagree nearly everywhere. Interpolation is a product
with small matrices cut from the operators, which keeps the arithmetic in the fast kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from segship.vision.taps import Taps

__all__ = ["bands", "labels", "resize_exactly", "tiles"]

_BAND = 32  # output rows at most; with 2048 columns a class's band is 256 kB, the size of a second-level cache
_TILE = 64  # output columns whose interpolation is one matrix product
_BUDGET = 6_000_000  # floats in the columns-resized rows of a band


def labels(
    logits: NDArray[np.float32], rows: Taps, columns: Taps, dtype: type[np.uint8 | np.uint16]
) -> NDArray[np.uint8 | np.uint16]:
    """Argmax over the resized classes, the first of equals.

    Args:
        logits: float32 (C, h, w), finite.
        rows: Operator of the rows.
        columns: Operator of the columns.
        dtype: Type of the labels.

    Returns:
        (H, W) labels.
    """
    out = np.zeros((len(rows), len(columns)), dtype)
    for band, matrix, across in bands(logits, rows, columns):
        best = matrix @ across[0]
        value, hit, mine = np.empty_like(best), np.empty(best.shape, np.bool_), out[band]
        for label in range(1, len(across)):
            np.matmul(matrix, across[label], out=value)
            np.greater(value, best, out=hit)
            np.maximum(best, value, out=best)
            # Labels only grow, so the largest that ever took the lead is the one that holds it.
            np.maximum(mine, np.multiply(hit.view(np.uint8), label, dtype=dtype, casting="unsafe"), out=mine)
    return out


def bands(
    logits: NDArray[np.float32], rows: Taps, columns: Taps
) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.float32]]]:
    """The rows of the output, band by band, as products still to be taken.

    Args:
        logits: float32 (C, h, w), finite: zeros of the matrices meet every cell.
        rows: Operator of the rows.
        columns: Operator of the columns.

    Yields:
        (band of output rows, matrix (R, k), columns-resized rows (C, k, W)): ``matrix @ across[c]`` is class c.
    """
    classes, width = len(logits), len(columns)
    most = max(1, _BUDGET // (classes * width * rows.index.shape[1]))
    for band, cells, matrix in tiles(rows, min(_BAND, most)):
        needed = np.ascontiguousarray(logits[:, cells]).reshape(-1, logits.shape[2])
        across = np.empty((len(needed), width), np.float32)
        for tile, from_cells, weights in tiles(columns, _TILE):
            np.matmul(needed[:, from_cells], weights.T, out=across[:, tile])
        yield band, matrix, across.reshape(classes, -1, width)


def tiles(taps: Taps, length: int) -> Iterator[tuple[slice, slice | NDArray[np.intp], NDArray[np.float32]]]:
    """Cut an operator into small dense matrices.

    Args:
        taps: The operator.
        length: Output positions of a tile.

    Yields:
        (positions, cells, float32 matrix (positions, cells)).
    """
    for first in range(0, len(taps), length):
        index, weight = taps.index[first : first + length], taps.weight[first : first + length]
        cells: slice | NDArray[np.intp]
        low, high = int(index.min()), int(index.max()) + 1
        if high - low <= index.size:
            cells, place, size = slice(low, high), index - low, high - low
        else:
            cells, place = np.unique(index, return_inverse=True)
            place, size = place.reshape(index.shape), len(cells)
        matrix = np.zeros((len(index), size), np.float32)
        np.add.at(matrix, (np.arange(len(index))[:, None], place), weight)
        yield slice(first, first + len(index)), cells, matrix


def resize_exactly(logits: NDArray[np.float32], rows: Taps, columns: Taps) -> NDArray[np.float32]:
    """Resize cell by cell, so that an infinite or undefined cell reaches only the pixels that draw on it.

    Args:
        logits: float32 (C, h, w), any values.
        rows: Operator of the rows.
        columns: Operator of the columns.

    Returns:
        float32 (C, H, W). A cell of weight zero has no say, whatever its value.
    """
    return _gather(_gather(logits, columns).swapaxes(1, 2), rows).swapaxes(1, 2)


def _gather(values: NDArray[np.float32], taps: Taps) -> NDArray[np.float32]:
    """Interpolate along the last axis."""
    out = values[..., taps.index[:, 0]] * taps.weight[:, 0]
    for tap in range(1, taps.index.shape[1]):
        weight = taps.weight[:, tap]
        drawn = np.flatnonzero(weight)
        out[..., drawn] += values[..., taps.index[drawn, tap]] * weight[drawn]
    return np.asarray(out, np.float32)
