"""Output positions of an axis in runs that draw on the same few cells.

Between two cell centres all output positions draw on the same two cells, so a pair of a row run and a column run is a
block of pixels with one common support: what holds for its cells holds for all its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.vision.taps import Taps

__all__ = ["Runs", "blend", "group"]

_LONGEST = 64  # positions; bounds the memory of one block


@dataclass(frozen=True, eq=False)
class Runs:
    """G runs of at most S positions on at most T cells.

    Attributes:
        cells: intp (T, G), ascending; a run with fewer cells repeats its last.
        positions: intp (S, G); a run with fewer positions repeats its last.
        weight: float32 (T, S, G), how much each cell weighs; one that is repeated weighs nothing again.
    """

    cells: NDArray[np.intp]
    positions: NDArray[np.intp]
    weight: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, S, G)."""
        return (len(self.cells), *self.positions.shape)


@lru_cache(maxsize=64)
def group(taps: Taps) -> tuple[Runs, ...]:
    """Cut an axis into runs, gathered by their number of cells so that little is padded.

    Args:
        taps: The operator of the axis.

    Returns:
        Runs that hold every position once (repeats within a run aside).
    """
    start, stop = _cut(taps)
    low, high = taps.index[start, 0], taps.index[stop - 1, -1]
    own = 1 + (taps.index[start, 1:] != taps.index[start, :-1]).sum(axis=1)
    # Runs that were joined draw on all cells from their lowest to their highest.
    joined = (taps.index[start] != taps.index[stop - 1]).any(axis=1)
    size = np.where(joined, high - low + 1, own)
    cells = np.where(joined, low + np.arange(size.max())[:, None], _padded(taps, start, int(size.max())))
    cells = np.minimum(cells, high)
    buckets = _buckets(size, stop - start, len(taps))
    return tuple(_runs(taps, start[bucket], stop[bucket], cells[: size[bucket].max(), bucket]) for bucket in buckets)


def _cut(taps: Taps) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First position of each run and the one after its last.

    Composed resizes alternate between long runs on two cells and short ones on three; a short run is joined to the
    long one before it, which saves more blocks than its third cell costs.
    """
    change = np.flatnonzero((taps.index[1:] != taps.index[:-1]).any(axis=1)) + 1
    start = np.concatenate(([0], change))
    low, high = taps.index[start, 0], taps.index[start, -1]
    solid = np.all(taps.index[start, 1:] - taps.index[start, :-1] <= 1, axis=1)
    widest, longest = taps.index.shape[1], min(-(-len(taps) // taps.cells) + 1, _LONGEST)
    kept: list[int] = []
    ends = [*start[1:].tolist(), len(taps)]
    for run, (end, top) in enumerate(zip(ends, high.tolist(), strict=True)):
        fits = kept and end - start[kept[-1]] <= longest and top - low[kept[-1]] < widest
        if not (fits and solid[run] and solid[kept[-1]]):
            kept.append(run)
    start = start[kept]
    return _split(start, np.append(start[1:], len(taps)))


def _split(start: NDArray[np.intp], stop: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Break up what is too long."""
    pieces = -(-(stop - start) // _LONGEST)
    run = np.repeat(np.arange(len(start)), pieces)
    piece = np.arange(len(run)) - np.repeat(pieces.cumsum() - pieces, pieces)
    first = start[run] + piece * _LONGEST
    return first, np.minimum(first + _LONGEST, stop[run])


def _padded(taps: Taps, start: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """Cells (width, G) of the position that opens each run; the last is repeated."""
    columns = np.minimum(np.arange(width), taps.index.shape[1] - 1)
    return taps.index[start][:, columns].T


def _buckets(size: NDArray[np.intp], length: NDArray[np.intp], positions: int) -> list[NDArray[np.intp]]:
    """Indices of the runs by number of cells; a handful of smaller runs (the edges) joins the next larger kind."""
    buckets: list[NDArray[np.intp]] = []
    few = np.empty(0, np.intp)
    for cells in sorted(set(size.tolist())):
        members = np.concatenate((few, np.flatnonzero(size == cells)))
        larger = length[size > cells]
        if length[members].sum() * 8 < positions and len(larger) and length[members].max() <= larger.max():
            few = members
            continue
        few = np.empty(0, np.intp)
        buckets.append(np.sort(members))
    return buckets


def _runs(taps: Taps, start: NDArray[np.intp], stop: NDArray[np.intp], cells: NDArray[np.intp]) -> Runs:
    longest = int((stop - start).max())
    positions = np.minimum(start + np.arange(longest)[:, None], stop - 1)
    index, weight = taps.index[positions], taps.weight[positions]
    weights = np.zeros((len(cells), *positions.shape), np.float32)
    for tap in range(len(cells)):
        share = np.where(index == cells[tap][:, None], weight, 0).sum(axis=2)
        weights[tap] = share if tap == 0 else np.where(cells[tap] == cells[tap - 1], 0, share)
    return Runs(np.ascontiguousarray(cells), positions, weights)


def blend(
    values: NDArray[np.float32], weight: NDArray[np.float32], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Interpolate between the cells of runs.

    Each cell is weighed for itself, as in torch. A sum of what the others have more than the first is as cheap, and
    loses what is small beside the first: probabilities that differ by orders of magnitude from cell to cell.

    Args:
        values: float32 (T, ...), the cells.
        weight: float32 (T, ...) as in `Runs`, of axes that broadcast with those of ``values``.
        out: Where to put the result.

    Returns:
        float32 (...).
    """
    if len(weight) == 1:
        if out is None:
            out = np.empty(np.broadcast_shapes(values.shape[1:], weight.shape[1:]), np.float32)
        out[:] = values[0]
        return out
    out = np.multiply(weight[0], values[0], out=out)
    for tap in range(1, len(weight)):
        out += weight[tap] * values[tap]
    return out
