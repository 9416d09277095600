"""Functions that lay numbers out otherwise, or side by side."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from segship.capture.trace.arguments import first_example, listed
from segship.capture.trace.dims import SymbolicDim, UntraceableError
from segship.capture.trace.meta_shapes import common_dtype, new, same
from segship.capture.trace.registry import function

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []


@function("pad")
def _pad(
    g: TracedGraph, out: Tensor, input: Any, pad: Sequence[int], mode: str = "constant", value: Any = None
) -> Value:
    x = g.tensor(input)
    if all(not isinstance(side, SymbolicDim) and side == 0 for side in pad):
        return x
    axes = out.dim()
    before, after = [0] * axes, [0] * axes
    for at in range(len(pad) // 2):
        before[axes - 1 - at], after[axes - 1 - at] = pad[2 * at], pad[2 * at + 1]
    g.declare_dims(side + (first + last) for side, first, last in zip(input.shape, before, after, strict=True))
    kind = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    parts = [x, g.sizes([*before, *after])]
    if mode == "constant" and value:
        parts.append(g.tensor(value, out.dtype))
    return g.add("Pad", *parts, mode=kind)


def _cat_shape(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[dim] = sum(part.shape[dim] for part in tensors)
    return new(shape, common_dtype(*tensors))


@function("cat", "concat", "concatenate", shape=_cat_shape)
def _cat(g: TracedGraph, out: Tensor, tensors: Sequence[Any], dim: int = 0) -> Value:
    parts = [g.tensor(part, out.dtype) for part in tensors]
    return g.add("Concat", *parts, axis=dim % out.dim()) if len(parts) > 1 else parts[0]


def _stack_shape(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape.insert(dim % (len(shape) + 1), len(tensors))
    return new(shape, common_dtype(*tensors))


@function("stack", shape=_stack_shape)
def _stack(g: TracedGraph, out: Tensor, tensors: Sequence[Any], dim: int = 0) -> Value:
    axis = g.constant(dim % out.dim(), "int64")
    return g.add(
        "Concat", *(g.add("Unsqueeze", g.tensor(part, out.dtype), axis) for part in tensors), axis=dim % out.dim()
    )


@function("chunk", view=True)
def _chunk(g: TracedGraph, out: Sequence[Tensor], input: Any, chunks: int, dim: int = 0) -> list[Value]:
    del chunks
    if isinstance(input.shape[dim], SymbolicDim):
        raise UntraceableError("parts of an axis that has another length at another size")
    return _parts(g, input, [part.shape[dim] for part in out], dim)


@function("split", view=True)
def _split(g: TracedGraph, out: Sequence[Tensor], input: Any, sizes: Any, dim: int = 0) -> list[Value]:
    return _chunk(g, out, input, 0, dim) if isinstance(sizes, int) else _parts(g, input, sizes, dim)


def _parts(g: TracedGraph, input: Any, sizes: Sequence[int], dim: int) -> list[Value]:
    return g.outputs("Split", len(sizes), g.tensor(input), g.sizes(sizes), axis=dim % input.dim())


def _is_same(side: int, old: int | None) -> bool:
    """Whether a side that the input decides is as it was, which Reshape writes as 0."""
    return isinstance(side, SymbolicDim) and isinstance(old, SymbolicDim) and side.pair == old.pair


def _reshaped(g: TracedGraph, input: Any, sides: Iterable[int]) -> Value:
    """``input`` in the shape ``sides``, of which one may be -1; what was reshaped before is so once."""
    wanted = list(sides)
    g.declare_dims(wanted)
    source, old = g.reshaped.get(g.tensor(input).name, (g.tensor(input), list(input.shape)))
    wanted = [0 if _is_same(side, known) else side for side, known in zip_longest(wanted, old[: len(wanted)])]
    free = [at for at, side in enumerate(wanted) if isinstance(side, SymbolicDim)]
    if free and not any(not isinstance(side, SymbolicDim) and side < 0 for side in wanted):
        wanted[free[-1]] = -1  # one may be left to the engine
    result = g.add("Reshape", source, g.sizes(wanted))
    g.reshaped[result.name] = source, old
    return result


@function("reshape", "view", view=True)
def _reshape(g: TracedGraph, _: Tensor, input: Any, *sides: Any, shape: Any = None) -> Value:
    return _reshaped(g, input, listed(sides) if shape is None else shape)


@function("flatten", view=True)
def _flatten(g: TracedGraph, _: Tensor, input: Any, start_dim: int = 0, end_dim: int = -1) -> Value:
    shape = list(input.shape)
    start, end = start_dim % len(shape), end_dim % len(shape)
    if start == end:
        return g.tensor(input)
    inner = (
        -1
        if any(isinstance(side, SymbolicDim) for side in shape[start : end + 1])
        else math.prod(shape[start : end + 1])
    )
    return _reshaped(g, input, [*shape[:start], inner, *shape[end + 1 :]])


@function("unflatten", view=True)
def _unflatten(g: TracedGraph, _: Tensor, input: Any, dim: int, sizes: Sequence[int]) -> Value:
    shape = list(input.shape)
    axis = dim % len(shape)
    return _reshaped(g, input, [*shape[:axis], *sizes, *shape[axis + 1 :]])


@function("permute", view=True)
def _permute(g: TracedGraph, _: Tensor, input: Any, *order: Any, dims: Any = None) -> Value:
    axes = listed(order) if dims is None else dims
    return g.transposed(g.tensor(input), [axis % input.dim() for axis in axes])


@function("transpose", "swapaxes", "swapdims", view=True)
def _transpose(g: TracedGraph, _: Tensor, input: Any, dim0: int, dim1: int) -> Value:
    axes = list(range(input.dim()))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return g.transposed(g.tensor(input), axes)


@function("t", view=True)
def _t(g: TracedGraph, out: Tensor, input: Any) -> Value:
    return g.tensor(input) if out.dim() < 2 else _transpose(g, out, input, 0, 1)


@function("unsqueeze", view=True)
def _unsqueeze(g: TracedGraph, out: Tensor, input: Any, dim: int) -> Value:
    return g.add("Unsqueeze", g.tensor(input), g.constant(dim % out.dim(), "int64"))


@function("squeeze", view=True)
def _squeeze(g: TracedGraph, _: Tensor, input: Any, dim: Any = None) -> Value:
    axes = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    single = [axis % input.dim() for axis in axes if input.shape[axis] == 1]
    return g.add("Squeeze", g.tensor(input), g.constant(single, "int64")) if single else g.tensor(input)


@function("expand", view=True)
def _expand(g: TracedGraph, out: Tensor, input: Any, *sides: Any, size: Any = None) -> Value:
    wanted = listed(sides) if size is None else list(size)
    if out.shape == first_example(input).shape and not any(isinstance(side, SymbolicDim) for side in wanted):
        return g.tensor(input)
    return g.add(
        "Expand",
        g.tensor(input),
        g.sizes([side if isinstance(side, SymbolicDim) or side >= 0 else 1 for side in wanted]),
    )


@function("expand_as", view=True)
def _expand_as(g: TracedGraph, out: Tensor, input: Any, other: Any) -> Value:
    return _expand(g, out, input, *other.shape)


@function("unbind", view=True)
def _unbind(g: TracedGraph, out: Sequence[Tensor], input: Any, dim: int = 0) -> list[Value]:
    if isinstance(input.shape[dim], SymbolicDim):
        raise UntraceableError("parts of an axis that has another length at another size")
    x, axis = g.tensor(input), dim % input.dim()
    return [g.add("Gather", x, g.number(at, "int64"), axis=axis) for at in range(len(out))]


@function("pixel_shuffle")
def _pixel_shuffle(g: TracedGraph, _: Tensor, input: Any, upscale_factor: int) -> Value:
    return g.add("DepthToSpace", g.tensor(input), blocksize=upscale_factor, mode="CRD")


def _repeat_shape(input: Tensor, *repeats: Any) -> Tensor:
    counts = repeats[0] if isinstance(repeats[0], (list, tuple)) else repeats
    shape = [1] * (len(counts) - input.dim()) + list(input.shape)
    return new((side * count for side, count in zip(shape, counts, strict=True)), input.dtype)


@function("repeat", shape=_repeat_shape)
def _repeat(g: TracedGraph, _: Tensor, input: Any, *repeats: Any) -> Value:
    counts = listed(repeats)
    x = g.tensor(input)
    if len(counts) > input.dim():
        x = g.add("Unsqueeze", x, g.constant(list(range(len(counts) - input.dim())), "int64"))
    return g.add("Tile", x, g.sizes(counts))


def _as_it_is(g: TracedGraph, _: Tensor, input: Any, *__: Any, **___: Any) -> Value:
    return g.tensor(input)


function("clone", shape=same)(_as_it_is)
function("contiguous", "detach", shape=same, view=True)(_as_it_is)
