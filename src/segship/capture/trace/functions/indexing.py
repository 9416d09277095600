"""Functions that take parts of tensors."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.arguments import each
from segship.capture.trace.dims import SymbolicDim, UntraceableError
from segship.capture.trace.meta_shapes import same
from segship.capture.trace.registry import function
from segship.capture.trace.tensors import TracedTensor

if TYPE_CHECKING:
    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []

_END = sys.maxsize


@function("narrow", view=True)
def _narrow(g: TracedGraph, _: Tensor, input: Any, dim: int, start: int, length: int) -> Value:
    if not isinstance(start, SymbolicDim) and start < 0:
        raise UntraceableError("a part that is counted from the end")
    g.declare_dims([length])
    return g.part(g.tensor(input), dim % input.dim(), start, start + length)


@function("select", view=True)
def _select(g: TracedGraph, _: Tensor, input: Any, dim: int, index: int) -> Value:
    return g.add("Gather", g.tensor(input), g.tensor(index, torch.int64), axis=dim % input.dim())


@function("index_select")
def _index_select(g: TracedGraph, _: Tensor, input: Any, dim: int, index: Any) -> Value:
    return g.add("Gather", g.tensor(input), g.tensor(index, torch.int64), axis=dim % input.dim())


@function("getitem", view=True)
def _getitem(g: TracedGraph, _: Tensor, input: Any, index: Any) -> Value:
    items = _expanded(index, input.dim())
    tensors = [item for item in items if isinstance(item, (TracedTensor, torch.Tensor))]
    if len(tensors) > 1 or (tensors and tensors[0].dtype != torch.int64):
        raise UntraceableError("several tensors as indices")
    x, axis = g.tensor(input), 0
    for item, side in zip([item for item in items if item is not None], input.shape, strict=True):
        x = _taken(g, x, axis, item, side)
        axis += _axes_made(item)
    places = itertools.accumulate(map(_axes_made, items), initial=0)
    new = [place for item, place in zip(items, places, strict=False) if item is None]
    return g.add("Unsqueeze", x, g.constant(new, "int64")) if new else x


def _expanded(index: Any, axes: int) -> list[Any]:
    """An item for each axis of the input, None for each new one; an ellipsis, written or not, takes what is left."""
    given = index if isinstance(index, tuple) else (index,)
    items = [torch.tensor(item) if isinstance(item, list) else item for item in given]
    used = sum(item is not None and item is not Ellipsis for item in items)
    at = next((place for place, item in enumerate(items) if item is Ellipsis), len(items))
    return [*items[:at], *[slice(None)] * (axes - used), *items[at + 1 :]]


def _axes_made(item: Any) -> int:
    """How many axes of the result an item stands for."""
    if isinstance(item, int):
        return 0
    return 1 if item is None or isinstance(item, slice) else int(item.dim())


def _taken(g: TracedGraph, x: Value, axis: int, item: Any, side: int) -> Value:
    """What an item takes of one axis."""
    if isinstance(item, slice):
        return _sliced(g, x, axis, item, side)
    places = g.tensor(item, torch.int64) if isinstance(item, int) else g.tensor(item)
    return g.add("Gather", x, places, axis=axis)


def _sliced(g: TracedGraph, x: Value, axis: int, item: slice, side: int) -> Value:
    if item.start is item.stop is item.step is None:
        return x
    start = 0 if item.start is None else item.start
    end = _END if item.stop is None else item.stop
    if not isinstance(side, SymbolicDim) and start == 0 and end >= side and item.step in {None, 1}:
        return x
    return g.part(x, axis, start, end, item.step or 1)


@function("roll", shape=same)
def _roll(g: TracedGraph, _: Tensor, input: Any, shifts: Any, dims: Any = None) -> Value:
    if dims is None:
        raise UntraceableError("rolling a flattened tensor")
    x = g.tensor(input)
    for shift, dim in zip(each(shifts, 1), each(dims, 1), strict=True):
        axis = dim % input.dim()
        if shift:
            x = g.add("Concat", g.part(x, axis, -shift, _END), g.part(x, axis, 0, -shift), axis=axis)
    return x


@function("topk")
def _topk(
    g: TracedGraph, _: Any, input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[Value]:
    how = {"axis": dim % input.dim(), "largest": int(largest), "sorted": int(sorted)}
    values, indices = g.outputs("TopK", 2, g.tensor(input), g.sizes([k]), **how)
    return [values, indices]


@function("gather")
def _gather(g: TracedGraph, _: Tensor, input: Any, dim: int, index: Any) -> Value:
    return g.add("GatherElements", g.tensor(input), g.tensor(index), axis=dim % input.dim())


@function("scatter")
def _scatter(g: TracedGraph, _: Tensor, input: Any, dim: int, index: Any, src: Any) -> Value:
    return g.add("ScatterElements", g.tensor(input), g.tensor(index), g.tensor(src), axis=dim % input.dim())
