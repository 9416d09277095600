"""Shape and type of what functions of torch return, for tensors on the device ``meta``.

torch finds them itself, but for these functions in Python, which loads its compiler: two seconds, and 150 MB.
"""

# ruff: noqa: ARG001  (parameters are torch's)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

__all__ = ["EXAMPLES"]


def _new(shape: Iterable[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(tuple(shape), dtype=dtype, device="meta")


def _same(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return _new(input.shape, input.dtype)


def _fractions(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return _new(input.shape, input.dtype if input.is_floating_point() else torch.get_default_dtype())


def _broadcast(*tensors: Any) -> list[int]:
    """The common shape of tensors and numbers."""
    shapes = [side.shape for side in tensors if isinstance(side, torch.Tensor)]
    rank = max(map(len, shapes))
    aligned = [[1] * (rank - len(shape)) + list(shape) for shape in shapes]
    common = [next((side for side in sides if side != 1), 1) for sides in zip(*aligned, strict=True)]
    if any(side not in {1, length} for shape in aligned for side, length in zip(shape, common, strict=True)):
        raise RuntimeError(f"shapes {', '.join(map(str, shapes))} do not fit together")
    return common


def _combined(input: Any, other: Any, **_: Any) -> Tensor:
    return _new(_broadcast(input, other), torch.result_type(input, other))


def _divided(input: Any, other: Any) -> Tensor:
    dtype = torch.result_type(input, other)
    return _new(_broadcast(input, other), dtype if dtype.is_floating_point else torch.get_default_dtype())


def _compared(input: Any, other: Any) -> Tensor:
    return _new(_broadcast(input, other), torch.bool)


def _where(condition: Tensor, input: Any, other: Any) -> Tensor:
    return _new(_broadcast(condition, input, other), torch.result_type(input, other))


def _clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    given = [bound for bound in (min, max) if bound is not None]
    dtype = input.dtype
    for bound in given:
        dtype = torch.promote_types(dtype, torch.result_type(input, bound))
    return _new(_broadcast(input, *given), dtype)


def _each(sides: Any, count: int) -> Sequence[int]:
    return [sides] * count if isinstance(sides, int) else sides


def _conv(
    input: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    if input.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(f"{input.shape[1]} channels for a convolution of {weight.shape[1] * groups}")
    count = input.dim() - 2
    gaps, steps = _each(dilation, count), _each(stride, count)
    extents = [gap * (side - 1) for gap, side in zip(gaps, weight.shape[2:], strict=True)]
    if isinstance(padding, str):
        added: Sequence[int] = extents if padding == "same" else [0] * count
    else:
        added = [2 * side for side in _each(padding, count)]
    sides = (
        (length + more - extent - 1) // step + 1
        for length, more, extent, step in zip(input.shape[2:], added, extents, steps, strict=True)
    )
    return _new((input.shape[0], weight.shape[0], *sides), input.dtype)


def _conv_transpose(
    input: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    count = input.dim() - 2
    options = (_each(option, count) for option in (stride, padding, output_padding, dilation))
    sides = (
        (length - 1) * step - 2 * pad + gap * (kernel - 1) + more + 1
        for length, kernel, step, pad, more, gap in zip(input.shape[2:], weight.shape[2:], *options, strict=True)
    )
    return _new((input.shape[0], weight.shape[1] * groups, *sides), input.dtype)


def _pooled(input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Tensor:
    count = input.dim() - 2
    kernel = _each(kernel_size, count)
    options = (_each(option, count) for option in (stride or kernel, padding, dilation))
    sides = []
    for length, width, step, pad, gap in zip(input.shape[2:], kernel, *options, strict=True):
        room = length + 2 * pad - gap * (width - 1) - 1
        side = (room + (step - 1 if ceil_mode else 0)) // step + 1
        sides.append(side - (ceil_mode and (side - 1) * step >= length + pad))  # no window begins in the padding
    return _new((*input.shape[:2], *sides), input.dtype)


def _max_pool(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:  # fmt: skip
    return _pooled(input, kernel_size, stride, padding, dilation, ceil_mode)


def _avg_pool(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *_: Any, **__: Any
) -> Tensor:  # fmt: skip
    return _pooled(input, kernel_size, stride, padding, 1, ceil_mode)


def _adaptive_pool(input: Tensor, output_size: Any) -> Tensor:
    sides = zip(_each(output_size, 2), input.shape[2:], strict=True)
    return _new((*input.shape[:2], *(length if side is None else side for side, length in sides)), input.dtype)


def _product(input: Tensor, other: Tensor) -> Tensor:
    left, right = (list(side.shape) for side in (input, other))
    if len(left) < 2 or len(right) < 2:
        return torch.matmul(input, other)
    if left[-1] != right[-2]:
        raise RuntimeError(f"{left} cannot be multiplied with {right}")
    batch = _broadcast(*(_new(side[:-2], input.dtype) for side in (left, right)))
    return _new((*batch, left[-2], right[-1]), torch.result_type(input, other))


def _linear(input: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    return _new((*input.shape[:-1], weight.shape[0]), input.dtype)


def _softmax(input: Tensor, dim: Any = None, dtype: Any = None, **_: Any) -> Tensor:
    return _new(input.shape, dtype or input.dtype)


def _interpolate(input: Tensor, size: Any = None, scale_factor: Any = None, *_: Any, **__: Any) -> Tensor:
    count = input.dim() - 2
    if size is not None:
        return _new((*input.shape[:2], *_each(size, count)), input.dtype)
    factors = scale_factor if isinstance(scale_factor, (list, tuple)) else [scale_factor] * count
    sides = (int(side * factor) for side, factor in zip(input.shape[2:], factors, strict=True))
    return _new((*input.shape[:2], *sides), input.dtype)


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    return _new((*query.shape[:-1], value.shape[-1]), query.dtype)


def _grid_sample(input: Tensor, grid: Tensor, *_: Any, **__: Any) -> Tensor:
    return _new((*input.shape[:2], *grid.shape[1:-1]), input.dtype)


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[dim] = sum(part.shape[dim] for part in tensors)
    return _new(shape, _common(tensors))


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape.insert(dim % (len(shape) + 1), len(tensors))
    return _new(shape, _common(tensors))


def _common(tensors: Sequence[Tensor]) -> torch.dtype:
    dtype = tensors[0].dtype
    for tensor in tensors[1:]:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _repeated(input: Tensor, *repeats: Any) -> Tensor:
    counts = repeats[0] if isinstance(repeats[0], (list, tuple)) else repeats
    shape = [1] * (len(counts) - input.dim()) + list(input.shape)
    return _new((side * count for side, count in zip(shape, counts, strict=True)), input.dtype)


def _full_like(input: Tensor, *_: Any, dtype: Any = None, **__: Any) -> Tensor:
    return _new(input.shape, dtype or input.dtype)


def _reduced(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    rank = input.dim()
    axes = set(range(rank)) if dim is None else {axis % rank for axis in _each(dim, 1)}
    kept = (1 if at in axes else side for at, side in enumerate(input.shape) if keepdim or at not in axes)
    return _new(kept, dtype or input.dtype)


def _arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, **_: Any) -> Tensor:
    start, end = (0, start) if end is None else (start, end)
    whole = all(isinstance(side, int) for side in (start, end, step))
    return _new([max(-(-(end - start) // step), 0)], dtype or (torch.int64 if whole else torch.get_default_dtype()))


_SAME = (
    "abs", "batch_norm", "group_norm", "hardswish", "hardtanh", "instance_norm", "invert", "layer_norm", "masked_fill",
    "neg", "prelu", "relu", "relu6", "roll", "square",
)  # fmt: skip
_FRACTIONS = (
    "cos", "elu", "erf", "exp", "gelu", "hardsigmoid", "leaky_relu", "log", "sigmoid", "silu", "sin", "softplus",
    "sqrt", "tanh",
)  # fmt: skip

EXAMPLES: dict[str, Callable[..., Tensor]] = (
    dict.fromkeys(_SAME, _same)
    | dict.fromkeys(_FRACTIONS, _fractions)
    | dict.fromkeys(("add", "sub", "mul", "rsub", "pow", "rpow", "and", "or", "xor", "minimum", "maximum"), _combined)
    | dict.fromkeys(("div", "rdiv"), _divided)
    | dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), _compared)
    | dict.fromkeys(("mean", "sum", "amax", "amin"), _reduced)
    | {
        "where": _where,
        "clamp": _clamp,
        "clip": _clamp,
        "conv1d": _conv,
        "conv2d": _conv,
        "conv_transpose2d": _conv_transpose,
        "max_pool2d": _max_pool,
        "avg_pool2d": _avg_pool,
        "adaptive_avg_pool2d": _adaptive_pool,
        "linear": _linear,
        "zeros_like": _full_like,
        "ones_like": _full_like,
        "full_like": _full_like,
        "repeat": _repeated,
        "softmax": _softmax,
        "matmul": _product,
        "bmm": _product,
        "interpolate": _interpolate,
        "scaled_dot_product_attention": _attention,
        "grid_sample": _grid_sample,
        "cat": _cat,
        "stack": _stack,
        "arange": _arange,
    }
)
"""The result for functions of torch, by name."""
