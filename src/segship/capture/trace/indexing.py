"""Functions of torch that take parts of tensors, or make new ones.

Each function takes the `Record`, the result for the first example, and the arguments of torch's function under torch's
names; it returns where the result is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from onnx import numpy_helper

from segship.capture.trace.arguments import each, listed
from segship.capture.trace.tensors import Length, Recorded, UnrecordedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.capture.trace.tensors import Record
    from segship.onnxgraph.build import Value

__all__ = ["PARTS"]

_END = sys.maxsize


def _narrow(r: Record, _: torch.Tensor, input: Any, dim: int, start: int, length: int) -> Value:
    if not isinstance(start, Length) and start < 0:
        raise UnrecordedError("a part that is counted from the end")
    r.learn([length])
    return r.part(r.tensor(input), dim % input.dim(), start, start + length)


def _select(r: Record, _: torch.Tensor, input: Any, dim: int, index: int) -> Value:
    return r.add("Gather", r.tensor(input), r.tensor(index, torch.int64), axis=dim % input.dim())


def _index_select(r: Record, _: torch.Tensor, input: Any, dim: int, index: Any) -> Value:
    return r.add("Gather", r.tensor(input), r.tensor(index, torch.int64), axis=dim % input.dim())


def _getitem(r: Record, _: torch.Tensor, input: Any, index: Any) -> Value:
    items = [
        torch.tensor(item) if isinstance(item, list) else item
        for item in (index if isinstance(index, tuple) else [index])
    ]
    used = sum(item is not None and item is not Ellipsis for item in items)
    at = next((place for place, item in enumerate(items) if item is Ellipsis), len(items))
    items[at : at + 1] = [slice(None)] * (input.dim() - used)
    x, shape, axis, new = r.tensor(input), list(input.shape), 0, []
    tensors = [item for item in items if isinstance(item, (Recorded, torch.Tensor))]
    if len(tensors) > 1 or (tensors and tensors[0].dtype != torch.int64):
        raise UnrecordedError("several tensors as indices")
    for item, side in zip([item for item in items if item is not None], shape, strict=True):
        if isinstance(item, slice):
            x = _sliced(r, x, axis, item, side)
            axis += 1
        elif isinstance(item, int):
            x = r.add("Gather", x, r.tensor(item, torch.int64), axis=axis)
        else:
            x = r.add("Gather", x, r.tensor(item), axis=axis)
            axis += item.dim()
    place = 0
    for item in items:
        if item is None:
            new.append(place)
        place += item is None or isinstance(item, slice) or (not isinstance(item, int) and item.dim())
    return r.add("Unsqueeze", x, r.constant(new, "int64")) if new else x


def _sliced(r: Record, x: Value, axis: int, item: slice, side: int) -> Value:
    if item.start is item.stop is item.step is None:
        return x
    start = 0 if item.start is None else item.start
    end = _END if item.stop is None else item.stop
    if not isinstance(side, Length) and start == 0 and end >= side and item.step in {None, 1}:
        return x
    return r.part(x, axis, start, end, item.step or 1)


def _roll(r: Record, _: torch.Tensor, input: Any, shifts: Any, dims: Any = None) -> Value:
    if dims is None:
        raise UnrecordedError("rolling a flattened tensor")
    x = r.tensor(input)
    for shift, dim in zip(each(shifts, 1), each(dims, 1), strict=True):
        axis = dim % input.dim()
        if shift:
            x = r.add("Concat", r.part(x, axis, -shift, _END), r.part(x, axis, 0, -shift), axis=axis)
    return x


def _topk(
    r: Record, _: Any, input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[Value]:
    how = {"axis": dim % input.dim(), "largest": int(largest), "sorted": int(sorted)}
    values, indices = r.outputs("TopK", 2, r.tensor(input), r.sizes([k]), **how)
    return [values, indices]


def _gather(r: Record, _: torch.Tensor, input: Any, dim: int, index: Any) -> Value:
    return r.add("GatherElements", r.tensor(input), r.tensor(index), axis=dim % input.dim())


def _scatter(r: Record, _: torch.Tensor, input: Any, dim: int, index: Any, src: Any) -> Value:
    return r.add("ScatterElements", r.tensor(input), r.tensor(index), r.tensor(src), axis=dim % input.dim())


def _filled(value: float) -> Callable[..., Value]:
    def apply(r: Record, out: torch.Tensor, *size: Any, **_: Any) -> Value:
        return _full(r, out, listed(size), value)

    return apply


def _filled_like(value: float) -> Callable[..., Value]:
    def apply(r: Record, out: torch.Tensor, input: Any, **_: Any) -> Value:
        return _full(r, out, input.shape, value)

    return apply


def _full(r: Record, out: torch.Tensor, size: Any, fill_value: Any, **_: Any) -> Value:
    sides = [size] if isinstance(size, int) else list(size)
    if isinstance(fill_value, Length):
        number = r.tensor(fill_value, out.dtype)
        return r.add("Expand", number, r.sizes(sides)) if sides else number
    if not any(isinstance(side, Length) for side in sides):
        return r.tensor(torch.full(tuple(sides), fill_value, dtype=out.dtype))
    filling = numpy_helper.from_array(torch.full((1,), fill_value, dtype=out.dtype).numpy())
    dtype = r.tensor(0, out.dtype).dtype
    return r.add("ConstantOfShape", r.sizes(sides), dtype=dtype, value=filling)


def _full_like(r: Record, out: torch.Tensor, input: Any, fill_value: Any, **_: Any) -> Value:
    return _full(r, out, input.shape, fill_value)


def _arange(r: Record, out: torch.Tensor, start: Any, end: Any = None, step: Any = 1, **_: Any) -> Value:
    start, end = (0, start) if end is None else (start, end)
    if not all(isinstance(side, int) for side in (start, end, step)):
        raise UnrecordedError("a range of fractions")
    limits = (r.tensor(side, torch.int64) for side in (start, end, step))
    return r.add("Range", *limits).to(r.tensor(0, out.dtype).dtype)


PARTS: dict[str, Callable[..., Any]] = {
    "narrow": _narrow,
    "select": _select,
    "index_select": _index_select,
    "getitem": _getitem,
    "roll": _roll,
    "topk": _topk,
    "gather": _gather,
    "scatter": _scatter,
    "zeros": _filled(0),
    "ones": _filled(1),
    "zeros_like": _filled_like(0),
    "ones_like": _filled_like(1),
    "full": _full,
    "full_like": _full_like,
    "arange": _arange,
}
"""Functions by the names torch gives them."""
