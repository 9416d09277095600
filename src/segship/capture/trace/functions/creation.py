"""Functions that make tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from onnx import numpy_helper

from segship.capture.trace.arguments import listed
from segship.capture.trace.dims import SymbolicDim, UntraceableError
from segship.capture.trace.meta_shapes import filled_like, new
from segship.capture.trace.registry import composite, function

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []


def _filled(value: float) -> Callable[..., Value]:
    def apply(g: TracedGraph, out: Tensor, *size: Any, **_: Any) -> Value:
        return _full(g, out, listed(size), value)

    return apply


function("zeros", "empty")(_filled(0))  # what is empty may hold any numbers
function("ones")(_filled(1))


@composite("new_zeros")
def _new_zeros(input: Any, size: Any, *, dtype: Any = None, **_: Any) -> Any:
    return torch.zeros(size, dtype=dtype or input.dtype)


def _filled_like(value: float) -> Callable[..., Value]:
    def apply(g: TracedGraph, out: Tensor, input: Any, **_: Any) -> Value:
        return _full(g, out, input.shape, value)

    return apply


function("zeros_like", "empty_like", shape=filled_like)(_filled_like(0))
function("ones_like", shape=filled_like)(_filled_like(1))


@function("full")
def _full(g: TracedGraph, out: Tensor, size: Any, fill_value: Any, **_: Any) -> Value:
    sides = [size] if isinstance(size, int) else list(size)
    if isinstance(fill_value, SymbolicDim):
        number = g.tensor(fill_value, out.dtype)
        return g.add("Expand", number, g.sizes(sides)) if sides else number
    if not any(isinstance(side, SymbolicDim) for side in sides):
        return g.tensor(torch.full(tuple(sides), fill_value, dtype=out.dtype))
    filling = numpy_helper.from_array(torch.full((1,), fill_value, dtype=out.dtype).numpy())
    dtype = g.tensor(0, out.dtype).dtype
    return g.add("ConstantOfShape", g.sizes(sides), dtype=dtype, value=filling)


def _lengths(data: Any) -> list[Any]:
    """The numbers in nested sequences, one after the other."""
    return [number for part in data for number in _lengths(part)] if isinstance(data, (list, tuple)) else [data]


def _tensor_shape(data: Any, *, dtype: Any = None, **_: Any) -> Tensor:
    shape, inner = [], data
    while isinstance(inner, (list, tuple)):
        shape.append(len(inner))
        inner = inner[0]
    return new(shape, dtype or torch.int64)


@function("tensor", "as_tensor", shape=_tensor_shape)
def _tensor(g: TracedGraph, out: Tensor, data: Any, **_: Any) -> Value:
    numbers = _lengths(data)
    if not all(isinstance(number, int) for number in numbers):
        raise UntraceableError("a tensor of fractions and lengths")
    return g.add("Reshape", g.sizes(numbers), g.constant(list(out.shape), "int64")).to(g.tensor(0, out.dtype).dtype)


@function("full_like", shape=filled_like)
def _full_like(g: TracedGraph, out: Tensor, input: Any, fill_value: Any, **_: Any) -> Value:
    return _full(g, out, input.shape, fill_value)


def _arange_shape(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, **_: Any) -> Tensor:
    start, end = (0, start) if end is None else (start, end)
    whole = all(isinstance(side, int) for side in (start, end, step))
    return new([max(-(-(end - start) // step), 0)], dtype or (torch.int64 if whole else torch.get_default_dtype()))


@function("arange", shape=_arange_shape)
def _arange(g: TracedGraph, out: Tensor, start: Any, end: Any = None, step: Any = 1, **_: Any) -> Value:
    start, end = (0, start) if end is None else (start, end)
    if not all(isinstance(side, int) for side in (start, end, step)):
        raise UntraceableError("a range of fractions")
    limits = (g.tensor(side, torch.int64) for side in (start, end, step))
    return g.add("Range", *limits).to(g.tensor(0, out.dtype).dtype)
