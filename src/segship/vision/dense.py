"""Resizing every class at every pixel, part by part within a bounded memory.

The way that scores need, and the way for masks whose logits disagree nearly everywhere. Columns are interpolated by
products with small matrices, rows by blending whole lines; both stay within the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from segship.vision.runs import blend, group
from segship.vision.taps import linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from segship.vision.runs import Runs
    from segship.vision.taps import Taps

    Labels = NDArray[np.uint8 | np.uint16]

__all__ = ["labels", "resize", "resize_exactly"]

_PLANE = 65_536  # pixels of one class at a time: 256 kB, the size of a second-level cache
_WHOLE = 4_000_000  # pixels up to which a class is resized in one piece: 56 MB
_PART = 2_000_000  # floats of all classes at a time
_TILE = 64  # columns whose interpolation is one matrix product
_SINGLE = 250_000  # multiplications up to which OpenBLAS keeps a product on one thread; more cores, more overhead


@dataclass(frozen=True, eq=False)
class _Part:
    """Some row runs, and the logits' rows they draw on, columns already resized.

    Attributes:
        rows: intp (g, S), the output rows.
        local: intp (T, g), cells of each run as indices into ``across``.
        weight: float32 (T, g, S, 1).
        across: float32 (C, k, W).
    """

    rows: NDArray[np.intp]
    local: NDArray[np.intp]
    weight: NDArray[np.float32]
    across: NDArray[np.float32]

    def plane(self, label: int, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """One class (g, S, W)."""
        return blend(self.across[label][self.local][:, :, None], self.weight, out)


def labels(logits: NDArray[np.float32], rows: Taps, columns: Taps, dtype: type[np.uint8 | np.uint16]) -> Labels:
    """Argmax over the resized classes, the first of equals.

    Args:
        logits: float32 (C, h, w), finite.
        rows: Operator of the rows.
        columns: Operator of the columns.
        dtype: Type of the labels.

    Returns:
        (H, W) labels.
    """
    if len(rows) * len(columns) <= _WHOLE and _is_doubling(rows) and _is_doubling(columns):
        size = (len(columns), len(rows))
        return _first_greatest(
            len(logits),
            lambda label, _: np.asarray(cv2.resize(logits[label], size, interpolation=cv2.INTER_LINEAR)),
            (len(rows), len(columns)),
            dtype,
        )
    out = np.empty((len(rows), len(columns)), dtype)

    def work(part: _Part) -> None:
        out[part.rows] = _first_greatest(len(logits), part.plane, (*part.rows.shape, len(columns)), dtype)

    _each_part(logits, rows, columns, _PLANE, work)
    return out


def _is_doubling(taps: Taps) -> bool:
    """Whether OpenCV's own bilinear resize has the same weights: it rounds them differently unless they are dyadic."""
    scale, rest = divmod(len(taps), taps.cells)
    return rest == 0 and scale & (scale - 1) == 0 and taps is linear(taps.cells, len(taps), align_corners=False)


def _first_greatest(
    classes: int,
    plane: Callable[[int, NDArray[np.float32]], NDArray[np.float32]],
    shape: tuple[int, ...],
    dtype: type[np.uint8 | np.uint16],
) -> Labels:
    """Argmax over ``plane(label, room)`` for all labels; what it returns may be the room, and is not kept."""
    best = plane(0, np.empty(shape, np.float32))
    room, hit, winner = np.empty(shape, np.float32), np.empty(shape, np.bool_), np.zeros(shape, dtype)
    for label in range(1, classes):
        value = plane(label, room)
        np.greater(value, best, out=hit)
        np.maximum(best, value, out=best)
        # Labels only grow, so the largest that ever took the lead is the one that holds it.
        np.maximum(winner, np.multiply(hit.view(np.uint8), dtype(label), dtype=dtype), out=winner)
    return winner


def resize(
    logits: NDArray[np.float32],
    rows: Taps,
    columns: Taps,
    activate: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Resize all classes and apply a function of one pixel's classes.

    Args:
        logits: float32 (C, h, w), finite.
        rows: Operator of the rows.
        columns: Operator of the columns.
        activate: Maps (C, ...) to (C, ...).

    Returns:
        float32 (C, H, W).
    """
    out = np.empty((len(logits), len(rows), len(columns)), np.float32)

    def work(part: _Part) -> None:
        values = np.empty((len(logits), *part.rows.shape, len(columns)), np.float32)
        for label, plane in enumerate(values):
            part.plane(label, plane)
        out[:, part.rows] = activate(values)

    _each_part(logits, rows, columns, min(_PLANE, _PART // len(logits)), work)
    return out


def _each_part(
    logits: NDArray[np.float32], rows: Taps, columns: Taps, pixels: int, work: Callable[[_Part], None]
) -> None:
    """Call ``work`` for all row runs, a few at a time, on as many threads as OpenCV may use."""
    pieces = [piece for runs in group(rows) for piece in _pieces(runs, len(logits), len(columns), pixels)]
    threads = min(len(pieces), max(1, cv2.getNumThreads()))

    def run(piece: tuple[Runs, slice]) -> None:
        work(_part(logits, columns, *piece))

    if threads == 1:
        for piece in pieces:
            run(piece)
        return
    from concurrent.futures import ThreadPoolExecutor  # brings logging

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, pieces))


def _pieces(runs: Runs, classes: int, width: int, pixels: int) -> Iterator[tuple[Runs, slice]]:
    cells, positions, number = runs.shape
    some = max(1, min(pixels // (positions * width), _PART // (classes * cells * width)))
    for first in range(0, number, some):
        yield runs, slice(first, first + some)


def _part(logits: NDArray[np.float32], columns: Taps, runs: Runs, which: slice) -> _Part:
    cells, local = np.unique(runs.cells[:, which], return_inverse=True)
    needed = logits.take(cells, axis=1).reshape(-1, logits.shape[2])
    across = np.empty((len(needed), len(columns)), np.float32)
    for tile, from_cells, matrix in _tiles(columns):
        step = max(1, _SINGLE // matrix.size)
        for first in range(0, len(needed), step):
            lines = slice(first, first + step)
            np.matmul(needed[lines, from_cells], matrix, out=across[lines, tile])
    return _Part(
        runs.positions[:, which].T,
        local.reshape(len(runs.cells), -1),
        runs.weight[:, :, which].swapaxes(1, 2)[..., None],
        across.reshape(len(logits), len(cells), -1),
    )


def _tiles(taps: Taps) -> Iterator[tuple[slice, slice | NDArray[np.intp], NDArray[np.float32]]]:
    """Cut an operator into small dense matrices: (positions, cells, float32 matrix (cells, positions))."""
    for first in range(0, len(taps), _TILE):
        index, weight = taps.index[first : first + _TILE], taps.weight[first : first + _TILE]
        cells: slice | NDArray[np.intp]
        low, high = int(index.min()), int(index.max()) + 1
        if high - low <= index.size:
            cells, place, size = slice(low, high), index - low, high - low
        else:
            cells, place = np.unique(index, return_inverse=True)
            place, size = place.reshape(index.shape), len(cells)
        matrix = np.zeros((size, len(index)), np.float32)
        np.add.at(matrix, (place, np.arange(len(index))[:, None]), weight)
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
    with np.errstate(invalid="ignore"):
        return _gather(_gather(logits, columns).swapaxes(1, 2), rows).swapaxes(1, 2)


def _gather(values: NDArray[np.float32], taps: Taps) -> NDArray[np.float32]:
    """Interpolate along the last axis."""
    out: NDArray[np.float32] = values[..., taps.index[:, 0]] * taps.weight[:, 0]
    for tap in range(1, taps.index.shape[1]):
        drawn = np.flatnonzero(taps.weight[:, tap])
        out[..., drawn] += values[..., taps.index[drawn, tap]] * taps.weight[drawn, tap]
    return out
