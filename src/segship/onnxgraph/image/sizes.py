"""Sizes that the steps of `segship.core.geometry_steps` make, as operators: one function for each step.

Sizes are whole numbers as long as they can be, so that engines that have no double precision agree with those that have
it. A step that has no function here is refused.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any, TypeAlias

from segship.core.errors import UnsupportedError
from segship.core.geometry_steps import (
    ImageStep,
    Pad,
    Resize,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeShortestEdge,
    ResizeToMultiple,
    ResizeWithin,
)

if TYPE_CHECKING:
    from segship.onnxgraph.build import Builder, Value

__all__ = ["Size", "output_size", "padded_size"]

Size: TypeAlias = "tuple[Value, Value]"


def output_size(step: ImageStep, b: Builder, height: Value, width: Value) -> Size:
    """Return (height, width) of an image after ``step``: what `ImageStep.plan` gives as ``size``.

    Args:
        step: A step of a spec's geometry.
        b: Takes the operators.
        height: Height of the image, int64 of shape (1,).
        width: Width of the image, int64 of shape (1,).

    Raises:
        UnsupportedError: The step has no operators.
    """
    return _size(step, b, height, width)


@singledispatch
def _size(step: ImageStep, *_: Any) -> Size:
    raise UnsupportedError(
        f"a graph that prepares images has no operators for {type(step).__name__}: leave --embed out"
    )


@_size.register(Resize)
def _(step: Resize, b: Builder, height: Value, width: Value) -> Size:
    if not step.keep_ratio:
        return b.constant(step.height, "int64"), b.constant(step.width, "int64")
    sides = sorted((step.height, step.width), reverse=True)
    most, least = (b.constant(side, "int64") for side in sides)
    return _within(most, least, height, width)


@_size.register(ResizeShortestEdge)
def _(step: ResizeShortestEdge, _: Builder, height: Value, width: Value) -> Size:
    short, long = height.minimum(width), height.maximum(width)
    most = _rounded(step.size * long, short).minimum(step.max_size)
    least = _rounded(step.max_size * short, long).minimum(step.size)
    return _within(most.maximum(least), most.minimum(least), height, width)


@_size.register(ResizeToMultiple)
def _(step: ResizeToMultiple, _: Builder, height: Value, width: Value) -> Size:
    return padded_size((height, width), (None, None), step.multiple_of)


@_size.register(ResizeEdges)
def _(step: ResizeEdges, b: Builder, height: Value, width: Value) -> Size:
    short, long = height.minimum(width), height.maximum(width)
    real_short, real_long = short.to("float64"), long.to("float64")
    if step.enlarge_only:
        new_short = short.maximum(step.short)
        new_long = long.maximum((real_long / real_short * step.short).to("int64"))
    else:
        exact = b.constant(step.short, "float64")
        if step.long is not None:
            exact = exact.minimum(step.long * real_short / real_long)
        new_short = b.add("Round", exact).to("int64")
        # An image whose short edge is right already is left alone.
        changes = b.add("Abs", new_short - short).minimum(1)
        new_long = _chosen(changes, (exact * real_long / real_short).to("int64"), long)
    tall = (height - width).maximum(0).minimum(1)
    size = _chosen(tall, new_long, new_short), _chosen(tall, new_short, new_long)
    return padded_size(size, (None, None), step.multiple_of)


@_size.register(ResizeByEdge)
def _(step: ResizeByEdge, b: Builder, height: Value, width: Value) -> Size:
    lengths = ((step.short, height.minimum(width)), (step.long, height.maximum(width)))
    factors = [wanted / found.to("float64") for wanted, found in lengths if wanted is not None]
    factor = factors[0].minimum(factors[-1])
    rows, columns = (b.add("Round", side.to("float64") * factor).to("int64") for side in (height, width))
    return padded_size((rows, columns), (None, None), step.multiple_of)


@_size.register(ResizeNear)
def _(step: ResizeNear, b: Builder, height: Value, width: Value) -> Size:
    rows, columns = height.to("float64"), width.to("float64")
    tall, wide = step.height / rows, step.width / columns
    scale = b.where(b.add("Abs", 1 - wide) < b.add("Abs", 1 - tall), wide, tall)
    new = [b.add("Round", scale * side / step.multiple_of).to("int64") * step.multiple_of for side in (rows, columns)]
    return new[0], new[1]


@_size.register(ResizeWithin)
def _(step: ResizeWithin, _: Builder, height: Value, width: Value) -> Size:
    rows, columns = height.to("float64"), width.to("float64")
    scale = (step.height / rows).minimum(step.width / columns)
    new_rows, new_columns = ((side * scale).to("int64") for side in (rows, columns))
    return padded_size((new_rows, new_columns), (None, None), step.multiple_of)


@_size.register(Pad)
def _(step: Pad, _: Builder, height: Value, width: Value) -> Size:
    return padded_size((height, width), (step.height, step.width), step.multiple_of)


def padded_size(size: Size, to: tuple[int | None, int | None], multiple_of: int | None) -> Size:
    """Return (height, width) after padding: as `segship.core.geometry_steps.padded_size`."""
    multiple = multiple_of or 1
    sides = [side if least is None else side.maximum(least) for side, least in zip(size, to, strict=True)]
    if multiple == 1:
        return sides[0], sides[1]
    rows, columns = ((side + (multiple - 1)) // multiple * multiple for side in sides)
    return rows, columns


def _within(most: Value, least: Value, height: Value, width: Value) -> Size:
    """The largest size of the same aspect ratio whose long and short edge stay within the two limits."""
    short, long = height.minimum(width), height.maximum(width)
    # Of the two scales the smaller one counts, and rounding keeps their order.
    rows, columns = (_rounded(side * most, long).minimum(_rounded(side * least, short)) for side in (height, width))
    return rows, columns


def _rounded(over: Value, under: Value) -> Value:
    """The nearest whole number to a fraction, of two the greater."""
    return (2 * over + under) // (2 * under)


def _chosen(first: Value, one: Value, other: Value) -> Value:
    """``one`` where ``first`` is 1, ``other`` where it is 0."""
    return other + (one - other) * first
