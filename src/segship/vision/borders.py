"""The pixels that are in doubt: blocks whose cells disagree on the winning class.

Interpolation weights are convex. Where all cells that a block of pixels draws on agree on the winner, that class wins
at every pixel of the block, and nothing is computed. Elsewhere only the candidates are interpolated: a class whose best
cell is below what some other class has in its worst cell cannot win anywhere in the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segship.vision.runs import blend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from segship.vision.runs import Runs

    Labels = NDArray[np.uint8 | np.uint16]

__all__ = ["Blocks", "candidates_per_block", "in_doubt", "settle"]

_PIXELS = 65_536  # interpolated at once: 256 kB, the size of a second-level cache
_VALUES = 1_000_000  # logits gathered at once


@dataclass(frozen=True, eq=False)
class Blocks:
    """M blocks in doubt, each the crossing of a row run and a column run.

    Attributes:
        rows: Runs of the rows.
        columns: Runs of the columns.
        row: intp (M,), number of the row run.
        column: intp (M,), number of the column run.
    """

    rows: Runs
    columns: Runs
    row: NDArray[np.intp]
    column: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def pixels(self) -> int:
        """The pixels of one block."""
        return len(self.rows.positions) * len(self.columns.positions)

    @property
    def support(self) -> int:
        """Cells that one block draws on."""
        return len(self.rows.cells) * len(self.columns.cells)

    def take(self, which: slice | NDArray[np.intp]) -> Blocks:
        """Some of the blocks."""
        return Blocks(self.rows, self.columns, self.row[which], self.column[which])

    def cells(self, width: int) -> NDArray[np.intp]:
        """Flat indices (support, M) of the cells of a map that is ``width`` wide, row by row."""
        rows = self.rows.cells.take(self.row, axis=1) * width
        columns = self.columns.cells.take(self.column, axis=1)
        return (rows[:, None] + columns).reshape(self.support, -1)

    def places(self, width: int) -> NDArray[np.intp]:
        """Flat indices (rows, columns, M) of the pixels of an image that is ``width`` wide."""
        rows = self.rows.positions.take(self.row, axis=1) * width
        return rows[:, None] + self.columns.positions.take(self.column, axis=1)


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Possible winners of each block.

    Attributes:
        order: intp (M,), block numbers, those with the most candidates first.
        count: intp (M,), candidates of each, in that order: never ascending.
        first: intp (M,), where each block's candidates begin in ``label``.
        label: intp, candidates of the blocks, ascending within a block.
    """

    order: NDArray[np.intp]
    count: NDArray[np.intp]
    first: NDArray[np.intp]
    label: NDArray[np.intp]

    def rank(self, number: int) -> NDArray[np.intp]:
        """The candidate after ``number`` smaller ones, of the blocks that have so many."""
        some = int(np.searchsorted(-self.count, -number, side="left"))
        return self.label[self.first[:some] + number]


def in_doubt(winners: Labels, rows: tuple[Runs, ...], columns: tuple[Runs, ...]) -> list[Blocks]:
    """Find the blocks whose cells disagree.

    Args:
        winners: (h, w), the winning class of each cell.
        rows: Runs of the output's rows.
        columns: Runs of the output's columns.

    Returns:
        The blocks, for each kind of row run and column run.
    """
    found = []
    for row_runs in rows:
        down = winners.take(row_runs.cells, axis=0)
        low, high = down.min(axis=0), down.max(axis=0)
        for column_runs in columns:
            least, most = low.take(column_runs.cells, axis=1), high.take(column_runs.cells, axis=1)
            row, column = np.nonzero(least.min(axis=1) != most.max(axis=1))
            found.append(Blocks(row_runs, column_runs, row, column))
    return found


def settle(logits: NDArray[np.float32], blocks: Blocks, out: Labels) -> None:
    """Decide every pixel of ``blocks``.

    Args:
        logits: float32 (C, h, w), finite, contiguous.
        blocks: The blocks.
        out: (H, W) labels, contiguous; written to at the blocks' pixels.
    """
    size = max(1, min(_PIXELS // blocks.pixels, _VALUES // (blocks.support * len(logits))))
    for first in range(0, len(blocks), size):
        some = blocks.take(slice(first, first + size))
        cells = some.cells(logits.shape[2])
        candidates = _candidates(logits, cells)
        some, cells = some.take(candidates.order), cells.take(candidates.order, axis=1)
        out.reshape(-1)[some.places(out.shape[1])] = _decide(logits, some, cells, candidates, out.dtype.type)


def candidates_per_block(logits: NDArray[np.float32], blocks: Blocks) -> float:
    """Mean number of classes that could win in a block, from a sample of them."""
    sample = blocks.take(np.arange(0, len(blocks), max(1, len(blocks) // 128)))
    return float(_candidates(logits, sample.cells(logits.shape[2])).count.mean())


def _candidates(logits: NDArray[np.float32], cells: NDArray[np.intp]) -> _Candidates:
    values = logits.reshape(len(logits), -1).take(cells, axis=1)
    floor = values.min(axis=1).max(axis=0)
    label, block = np.nonzero(values.max(axis=1) >= floor)
    by_block = block.argsort(kind="stable")
    count = np.bincount(block, minlength=cells.shape[1])
    order = (-count).argsort(kind="stable")
    return _Candidates(order, count[order], (count.cumsum() - count)[order], label[by_block])


def _decide(
    logits: NDArray[np.float32],
    blocks: Blocks,
    cells: NDArray[np.intp],
    candidates: _Candidates,
    dtype: type[np.uint8 | np.uint16],
) -> Labels:
    """Labels (rows, columns, M) of the pixels of the blocks.

    What is interpolated is each candidate's lead over the first one, which saves interpolating the first.
    """
    flat, channel = logits.reshape(-1), logits[0].size
    smallest = candidates.rank(0)
    base = flat.take(cells + smallest * channel)
    winner = np.empty((len(blocks.rows.positions), len(blocks.columns.positions), len(blocks)), dtype)
    winner[:] = smallest
    best: NDArray[np.float32] | None = None
    for lead, label in _leads(flat, channel, blocks, cells, candidates, base):
        some = len(label)
        hit = lead > 0 if best is None else lead > best[..., :some]
        # Candidates ascend, so the largest that ever took the lead is the one that holds it.
        mine = np.multiply(hit.view(np.uint8), label.astype(dtype), dtype=dtype)
        np.maximum(winner[..., :some], mine, out=winner[..., :some])
        best = np.maximum(lead, 0 if best is None else best[..., :some])
    return winner


def _leads(
    flat: NDArray[np.float32],
    channel: int,
    blocks: Blocks,
    cells: NDArray[np.intp],
    candidates: _Candidates,
    base: NDArray[np.float32],
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
    """The interpolated lead of the second candidate, of the third, …, with their labels; blocks drop out at the end."""
    down = blocks.rows.weight.take(blocks.row, axis=2)
    across = blocks.columns.weight.take(blocks.column, axis=2)
    shape = (len(blocks.rows.cells), len(blocks.columns.cells), -1)
    for rank in range(1, int(candidates.count[0])):
        label = candidates.rank(rank)
        some = len(label)
        lead = flat.take(cells[:, :some] + label * channel) - base[:, :some]
        part = blend(lead.reshape(shape)[:, None], down[:, :, None, :some])
        yield blend(part.swapaxes(0, 1)[:, :, None], across[:, None, :, :some]), label
