"""Functions of torch that lay numbers out otherwise, or side by side.

Each function takes the `Record`, the result for the first example, and the arguments of torch's function under torch's
names; it returns where the result is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from segship.capture.trace.arguments import listed, plain
from segship.capture.trace.tensors import Length, UnrecordedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import torch

    from segship.capture.trace.tensors import Record
    from segship.onnxgraph.build import Value

__all__ = ["SHAPES"]


def _pad(
    r: Record, out: torch.Tensor, input: Any, pad: Sequence[int], mode: str = "constant", value: Any = None
) -> Value:
    x = r.tensor(input)
    if all(not isinstance(side, Length) and side == 0 for side in pad):
        return x
    axes = out.dim()
    before, after = [0] * axes, [0] * axes
    for at in range(len(pad) // 2):
        before[axes - 1 - at], after[axes - 1 - at] = pad[2 * at], pad[2 * at + 1]
    r.learn(side + (first + last) for side, first, last in zip(input.shape, before, after, strict=True))
    kind = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    parts = [x, r.sizes([*before, *after])]
    if mode == "constant" and value:
        parts.append(r.tensor(value, out.dtype))
    return r.add("Pad", *parts, mode=kind)


def _cat(r: Record, out: torch.Tensor, tensors: Sequence[Any], dim: int = 0) -> Value:
    parts = [r.tensor(part, out.dtype) for part in tensors]
    return r.add("Concat", *parts, axis=dim % out.dim()) if len(parts) > 1 else parts[0]


def _stack(r: Record, out: torch.Tensor, tensors: Sequence[Any], dim: int = 0) -> Value:
    axis = r.constant(dim % out.dim(), "int64")
    return r.add(
        "Concat", *(r.add("Unsqueeze", r.tensor(part, out.dtype), axis) for part in tensors), axis=dim % out.dim()
    )


def _chunk(r: Record, out: Sequence[torch.Tensor], input: Any, chunks: int, dim: int = 0) -> list[Value]:
    del chunks
    if isinstance(input.shape[dim], Length):
        raise UnrecordedError("parts of an axis that has another length at another size")
    return _parts(r, input, [part.shape[dim] for part in out], dim)


def _split(r: Record, out: Sequence[torch.Tensor], input: Any, sizes: Any, dim: int = 0) -> list[Value]:
    return _chunk(r, out, input, 0, dim) if isinstance(sizes, int) else _parts(r, input, sizes, dim)


def _parts(r: Record, input: Any, sizes: Sequence[int], dim: int) -> list[Value]:
    return r.outputs("Split", len(sizes), r.tensor(input), r.sizes(sizes), axis=dim % input.dim())


def _reshaped(r: Record, input: Any, sides: Iterable[int]) -> Value:
    """``input`` in the shape ``sides``, of which one may be -1; what was reshaped before is so once."""
    wanted = list(sides)
    r.learn(wanted)
    source, old = r.reshaped.get(r.tensor(input).name, (r.tensor(input), list(input.shape)))
    for at, side in enumerate(wanted):
        known = old[at] if at < len(old) else None
        if isinstance(side, Length) and isinstance(known, Length) and side.pair == known.pair:
            wanted[at] = 0  # as it is
    free = [at for at, side in enumerate(wanted) if isinstance(side, Length)]
    if free and not any(not isinstance(side, Length) and side < 0 for side in wanted):
        wanted[free[-1]] = -1  # one may be left to the engine
    result = r.add("Reshape", source, r.sizes(wanted))
    r.reshaped[result.name] = source, old
    return result


def _reshape(r: Record, _: torch.Tensor, input: Any, *sides: Any, shape: Any = None) -> Value:
    return _reshaped(r, input, listed(sides) if shape is None else shape)


def _flatten(r: Record, _: torch.Tensor, input: Any, start_dim: int = 0, end_dim: int = -1) -> Value:
    shape = list(input.shape)
    start, end = start_dim % len(shape), end_dim % len(shape)
    if start == end:
        return r.tensor(input)
    inner = (
        -1 if any(isinstance(side, Length) for side in shape[start : end + 1]) else math.prod(shape[start : end + 1])
    )
    return _reshaped(r, input, [*shape[:start], inner, *shape[end + 1 :]])


def _unflatten(r: Record, _: torch.Tensor, input: Any, dim: int, sizes: Sequence[int]) -> Value:
    shape = list(input.shape)
    axis = dim % len(shape)
    return _reshaped(r, input, [*shape[:axis], *sizes, *shape[axis + 1 :]])


def _permute(r: Record, _: torch.Tensor, input: Any, *order: Any, dims: Any = None) -> Value:
    axes = listed(order) if dims is None else dims
    return r.transposed(r.tensor(input), [axis % input.dim() for axis in axes])


def _transpose(r: Record, _: torch.Tensor, input: Any, dim0: int, dim1: int) -> Value:
    axes = list(range(input.dim()))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return r.transposed(r.tensor(input), axes)


def _t(r: Record, out: torch.Tensor, input: Any) -> Value:
    return r.tensor(input) if out.dim() < 2 else _transpose(r, out, input, 0, 1)


def _unsqueeze(r: Record, out: torch.Tensor, input: Any, dim: int) -> Value:
    return r.add("Unsqueeze", r.tensor(input), r.constant(dim % out.dim(), "int64"))


def _squeeze(r: Record, _: torch.Tensor, input: Any, dim: Any = None) -> Value:
    axes = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    single = [axis % input.dim() for axis in axes if input.shape[axis] == 1]
    return r.add("Squeeze", r.tensor(input), r.constant(single, "int64")) if single else r.tensor(input)


def _expand(r: Record, out: torch.Tensor, input: Any, *sides: Any, size: Any = None) -> Value:
    wanted = listed(sides) if size is None else list(size)
    if out.shape == plain(input).shape and not any(isinstance(side, Length) for side in wanted):
        return r.tensor(input)
    return r.add(
        "Expand", r.tensor(input), r.sizes([side if isinstance(side, Length) or side >= 0 else 1 for side in wanted])
    )


def _repeat(r: Record, _: torch.Tensor, input: Any, *repeats: Any) -> Value:
    counts = listed(repeats)
    x = r.tensor(input)
    if len(counts) > input.dim():
        x = r.add("Unsqueeze", x, r.constant(list(range(len(counts) - input.dim())), "int64"))
    return r.add("Tile", x, r.sizes(counts))


def _as_it_is(r: Record, _: torch.Tensor, input: Any, *__: Any, **___: Any) -> Value:
    return r.tensor(input)


SHAPES: dict[str, Callable[..., Any]] = {
    "pad": _pad,
    "cat": _cat,
    "stack": _stack,
    "chunk": _chunk,
    "split": _split,
    "reshape": _reshape,
    "view": _reshape,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "permute": _permute,
    "transpose": _transpose,
    "t": _t,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "expand": _expand,
    "repeat": _repeat,
    "contiguous": _as_it_is,
    "clone": _as_it_is,
    "detach": _as_it_is,
}
"""Functions by the names torch gives them."""
