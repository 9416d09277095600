"""The mask from low-resolution logits as operators: only where classes meet are all of them interpolated.

What `segship.vision.upsample` does, in a graph: bilinear weights are convex, so where all cells that a pixel draws on
have one winner, that class wins at the pixel. The other cells are found, and their pixels alone get every class's
value, so that a file decides about as fast as a package does. Every operator works on matrices, or on the last two axes
as height and width, whole numbers are int64 or int32, and nothing is compared but floats: engines of graphics
processors and TensorRT take nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segship.onnxgraph.build import Builder, Value
    from segship.onnxgraph.image.sizes import Size

__all__ = ["Way", "labels"]

_SPLIT = 8193.0  # splits a float32 into two of 12 bits at most, whose products with small whole numbers are exact


class Way:
    """The way of logits to the image, as one matrix for the rows and one for the columns.

    Args:
        b: Takes the operators.
        size: (height, width) of the logits.
        align_corners: How each resize places its cells, as in torch's ``interpolate``.
    """

    def __init__(self, b: Builder, size: Size, *, align_corners: bool) -> None:
        self._b, self.cells, self._corners = b, size, align_corners
        self._matrices: list[Value | None] = [None, None]
        self._now = size

    def resized(self, size: Size) -> Way:
        """Go on at another height and width."""
        for side in range(2):
            place = self._source(self._now[side], size[side])
            self._matrices[side] = self._resize(self._matrices[side], place, self._now[side])
        self._now = size
        return self

    def cropped(self, size: Size) -> Way:
        """Go on with the upper left part."""
        b = self._b
        none, first = b.constant(0, "int64"), b.constant(0, "int64")
        for side, matrix in enumerate(self._matrices):
            assert matrix is not None  # nothing is cropped before it is resized
            self._matrices[side] = b.add("Slice", matrix, none, size[side], first)
        self._now = size
        return self

    def axes(self) -> tuple[_Axis, _Axis]:
        """The rows and the columns, ready to decide."""
        rows, columns = self._matrices
        assert rows is not None  # every way ends in a resize
        assert columns is not None
        return _axis(self._b, rows, self.cells[0]), _axis(self._b, columns, self.cells[1])

    def _source(self, old: Value, new: Value) -> Value:
        """Where each position lies among the cells, float32 (new,): torch's own, with its one rounding."""
        b = self._b
        place = b.count(new).to("float32")
        if self._corners:
            found = place * ((old - 1).to("float32") / (new - 1).maximum(1).to("float32"))
        else:
            scale = old.to("float32") / new.to("float32")
            large = scale * _SPLIT
            high = large - (large - scale)
            middle = place + 0.5
            found = (high * middle - 0.5) + (scale - high) * middle
        return found.maximum(0.0).minimum((old - 1).to("float32"))

    def _resize(self, before: Value | None, place: Value, old: Value) -> Value:
        """A resize after what came before: float32 (positions, cells)."""
        b = self._b
        if before is None:
            distance = b.add("Abs", b.reshape(place, (-1, 1)) - b.reshape(b.count(old), (1, -1)).to("float32"))
            return (1.0 - distance).maximum(0.0)
        low = b.add("Floor", place)
        share = b.reshape(place - low, (-1, 1))
        first = low.to("int64")
        second = (first + 1).minimum(old - 1)
        return b.take(before, first, 0) * (1.0 - share) + b.take(before, second, 0) * share


@dataclass(frozen=True)
class _Axis:
    """One axis of a way: positions that draw on the same cells form a run.

    Run r draws on cells from r - 1 on. Those that draw on the first cell alone are run 0: with them the next run would
    be half as long again as all others.

    Attributes:
        length: Number of positions, int64 (1,).
        first: The first cell that each position draws on, int64 (length,).
        start: The run of the first position, int64 (1,).
        filled: 1 for each run that has positions, else 0; float32 (runs,).
        places: The positions of each run, the last repeated; int64 (runs, most positions).
        drawn: The cells of each run, the outermost repeated; int64 (runs, most cells).
        weights: float32 (runs, most positions, most cells); a cell that is repeated weighs nothing.
    """

    length: Value
    first: Value
    start: Value
    filled: Value
    places: Value
    drawn: Value
    weights: Value


def _axis(b: Builder, matrix: Value, cells: Value) -> _Axis:
    last, every = (cells - 1).to("float32"), b.constant(1, "int64")
    counted = b.count(cells).to("float32")
    used = b.add("Sign", matrix)
    low = last - b.add("ReduceMax", used * (last - counted), every, keepdims=0)
    high = b.add("ReduceMax", used * counted, every, keepdims=0)
    run, runs = low + b.add("Sign", high), b.reshape(b.count(cells + 1), (-1, 1))
    before, after = (_how_many(b, run, runs.to("float32") + number) for number in (0.0, 1.0))
    most_cells = _greatest(b, high - low).maximum(1.0).to("int64") + 1
    most_places = _greatest(b, after - before).to("int64")
    start, stop = (b.reshape(value.to("int64"), (-1, 1)) for value in (before, after))
    places = (start + b.count(most_places)).minimum(stop - 1).maximum(0)
    wanted = runs + (b.count(most_cells) - 1)
    drawn = wanted.maximum(0).minimum(cells - 1)
    real = 1.0 - b.add("Abs", (wanted - drawn).to("float32")).minimum(1.0)
    index = b.add("Unsqueeze", places * cells, b.constant(2, "int64")) + b.add("Unsqueeze", drawn, every)
    weights = b.take(b.reshape(matrix, (-1,)), index, 0) * b.add("Unsqueeze", real, every)
    return _Axis(
        length=b.length(matrix, 0),
        first=low.to("int64"),
        start=b.take(run, b.constant(0, "int64"), 0).to("int64"),
        filled=(after - before).minimum(1.0),
        places=places,
        drawn=drawn,
        weights=weights,
    )


def _greatest(b: Builder, values: Value) -> Value:
    """The greatest of a vector, as a vector of one."""
    return b.add("ReduceMax", values, b.constant(0, "int64"), keepdims=1)


def _how_many(b: Builder, values: Value, limits: Value) -> Value:
    """How many whole ``values`` (n,) lie below each of the ``limits`` (m, 1): float32 (m,)."""
    below = (limits - values).maximum(0.0).minimum(1.0)
    return b.add("ReduceSum", below, b.constant(1, "int64"), keepdims=0)


def labels(b: Builder, logits: Value, way: Way) -> Value:
    """Argmax over the classes after bilinear resizes, the first of equals.

    Args:
        b: Takes the operators.
        logits: float32 (N, K, h, w).
        way: From (h, w) to (H, W).

    Returns:
        int32 (N, H, W).
    """
    rows, columns = way.axes()
    winners = b.add("ArgMax", logits, dtype="int64", axis=1, keepdims=0).to("int32")
    # Whole lines are copied where the axis comes first, single numbers where it comes last.
    across = b.take(b.add("Transpose", winners, perm=[2, 0, 1]), columns.first, 0)
    whole = b.take(b.add("Transpose", across, perm=[1, 2, 0]), rows.first, 1)
    found = b.outputs("Split", 3, _in_doubt(b, winners.to("float32"), rows, columns), axis=0, num_outputs=3)
    image, row, column = (b.reshape(part, (-1,)) for part in found)
    values = _interpolated(b, logits, (image, row, column), rows, columns)
    decided = b.add("ArgMax", values, dtype="int64", axis=2, keepdims=0).to("int32")
    places = _outer(
        b, image * rows.length, columns.length, b.take(rows.places, row, 0), b.take(columns.places, column, 0)
    )
    flat = b.add("ScatterElements", *(b.reshape(part, (-1,)) for part in (whole, places, decided)), axis=0)
    return b.add("Reshape", flat, b.join(b.length(logits, 0), rows.length, columns.length))


def _in_doubt(b: Builder, winners: Value, rows: _Axis, columns: _Axis) -> Value:
    """Indices int64 (3, M) of image, row and column of the runs whose pixels draw on several winners.

    The run of the first pixel is always there, for not every engine can take nothing.
    """
    drawn = b.take(winners, rows.drawn, 1)  # (N, h, cells, w)
    two = b.constant(2, "int64")
    high, low = (b.take(b.add(kind, drawn, two, keepdims=0), columns.drawn, 2) for kind in ("ReduceMax", "ReduceMin"))
    three = b.constant(3, "int64")
    differ = b.add("ReduceMax", high, three, keepdims=0) - b.add("ReduceMin", low, three, keepdims=0)
    found = b.add("NonZero", differ * b.reshape(rows.filled, (-1, 1)) * columns.filled, dtype="int64")
    always = b.reshape(b.join(b.constant(0, "int64"), rows.start, columns.start), (3, 1))
    return b.add("Concat", found, always, axis=1)


def _interpolated(b: Builder, logits: Value, doubt: tuple[Value, Value, Value], rows: _Axis, columns: _Axis) -> Value:
    """All classes at the pixels of some cells: float32 (M, rows, K, columns)."""
    image, row, column = doubt
    height, width, classes = (b.length(logits, axis) for axis in (2, 3, 1))
    flat = b.add("Reshape", b.add("Transpose", logits, perm=[0, 2, 3, 1]), b.join(b.constant(-1, "int64"), classes))
    cells = _outer(b, image * height, width, b.take(rows.drawn, row, 0), b.take(columns.drawn, column, 0))
    count, rest = b.length(row, 0), b.constant(-1, "int64")
    tall, wide = b.length(rows.weights, 2), b.length(columns.weights, 2)
    taken = b.add("Reshape", b.take(flat, cells, 0), b.join(count, tall, wide, classes))
    taken = b.add("Reshape", b.add("Transpose", taken, perm=[0, 1, 3, 2]), b.join(count, tall * classes, wide))
    # One product of matrices for each cell and axis, which is what engines are quick at.
    along = b.add("Transpose", b.take(columns.weights, column, 0), perm=[0, 2, 1])
    across = b.add("Reshape", b.add("MatMul", taken, along), b.join(count, tall, rest))
    whole = b.add("MatMul", b.take(rows.weights, row, 0), across)
    return b.add("Reshape", whole, b.join(count, rest, classes, b.length(columns.weights, 1)))


def _outer(b: Builder, base: Value, width: Value, rows: Value, columns: Value) -> Value:
    """Indices (M, R * C) into flat maps of ``width`` columns, each pair of (M, R) rows and (M, C) columns once."""
    down = b.add("Unsqueeze", (b.reshape(base, (-1, 1)) + rows) * width, b.constant(2, "int64"))
    pairs = down + b.add("Unsqueeze", columns, b.constant(1, "int64"))
    return b.add("Reshape", pairs, b.join(b.length(base, 0), b.length(rows, 1) * b.length(columns, 1)))
