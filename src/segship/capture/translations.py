"""What operators are in ONNX that torch's exporter translates not at all or at length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnxscript import opset18

from segship.capture import operators

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TRANSLATIONS"]

op: Any = opset18  # its annotations do not know each other
BOOL = onnx.TensorProto.BOOL


def _conv(
    x: Any, weight: Any, bias: Any, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Any:
    pads = [*padding, *padding]
    return op.Conv(x, weight, bias, strides=list(stride), pads=pads, dilations=list(dilation), group=groups)


def _conv_transpose(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    output_padding: Sequence[int] = (0, 0),
    groups: int = 1,
    dilation: Sequence[int] = (1, 1),
) -> Any:
    return op.ConvTranspose(
        x,
        weight,
        bias,
        strides=list(stride),
        pads=[*padding, *padding],
        output_padding=list(output_padding),
        group=groups,
        dilations=list(dilation),
    )


def _batch_norm(x: Any, w: Any, b: Any, mean: Any, var: Any, eps: float) -> Any:
    return op.BatchNormalization(x, w, b, mean, var, epsilon=eps)


def _resize(x: Any, h: Any, w: Any, mode: str, align_corners: bool) -> Any:
    size = op.Concat(op.Shape(x, end=2), *_as_lists([h, w]), axis=0)
    where = "asymmetric" if mode == "nearest" else "align_corners" if align_corners else "half_pixel"
    kind = operators.RESIZES[mode]
    return op.Resize(x, None, None, size, mode=kind, coordinate_transformation_mode=where, nearest_mode="floor")


def _linear(x: Any, weight: Any, bias: Any) -> Any:
    if len(x.shape) == 2:
        return op.Gemm(x, weight, bias, transB=True)
    product = op.MatMul(x, op.Transpose(weight, perm=[1, 0]))
    return product if bias is None else op.Add(product, bias)


def _flatten(x: Any, start: int, end: int) -> Any:
    return _reshaped(x, start, [-1], end + 1)


def _unflatten(x: Any, axis: int, sizes: Sequence[Any]) -> Any:
    free = [at for at, size in enumerate(sizes) if not isinstance(size, int)]
    if free and -1 not in sizes:  # one may be left to the engine
        sizes = [-1 if at == free[0] else size for at, size in enumerate(sizes)]
    return _reshaped(x, axis, sizes, axis + 1)


def _reshaped(x: Any, start: int, sizes: Sequence[Any], end: int) -> Any:
    """``x`` with ``sizes``, of which one may be -1, in place of the axes from ``start`` to before ``end``."""
    after = [side if isinstance(side, int) else None for side in x.shape[end:]]
    parts: list[Any] = [0] * start + list(sizes)  # 0: as it is
    rest = [op.Shape(x, start=end)] if None in after else []
    if not rest:
        parts += after
    return _to_shape(x, parts, rest)


def _to_shape(x: Any, sizes: Sequence[Any], rest: Sequence[Any] = ()) -> Any:
    """``x`` in the shape of ``sizes``, and of ``rest``, which are lists of further ones."""
    if not rest and all(isinstance(size, int) for size in sizes):
        return op.Reshape(x, op.Constant(value_ints=list(sizes)))
    return op.Reshape(x, op.Concat(*_as_lists(sizes), *rest, axis=0))


def _as_lists(sizes: Sequence[Any]) -> list[Any]:
    """Each size as a tensor (1,)."""
    one = op.Constant(value_ints=[1])
    return [op.Constant(value_ints=[size]) if isinstance(size, int) else op.Reshape(size, one) for size in sizes]


def _reshape(x: Any, shape: Sequence[Any]) -> Any:
    free = [at for at, size in enumerate(shape) if not isinstance(size, int)]
    last = free[-1] if free else -1  # one may be left to the engine
    return _to_shape(x, [-1 if at == last else size for at, size in enumerate(shape)])


def _slice(x: Any, axis: int, start: Any, end: Any) -> Any:
    return op.Slice(x, *_as_lists([start, end, axis]))


def _pool(x: Any, length: Any, bins: int, axis: int) -> Any:
    windows = (_window(x, length, bins, at, axis) for at in range(bins))
    axes = op.Constant(value_ints=[axis])
    return op.Concat(*(op.ReduceMean(window, axes, keepdims=True) for window in windows), axis=axis)


def _window(x: Any, length: Any, bins: int, at: int, axis: int) -> Any:
    """Window number ``at`` along the axis: from floor(at * length / bins) to ceil((at + 1) * length / bins)."""
    if isinstance(length, int):
        return _slice(x, axis, at * length // bins, -(-(at + 1) * length // bins))
    (side,) = _as_lists([length])
    first, after, most, count, along = (op.Constant(value_ints=[value]) for value in (at, at + 1, bins - 1, bins, axis))
    start = op.Div(op.Mul(side, first), count)
    end = op.Div(op.Add(op.Mul(side, after), most), count)
    return op.Slice(x, start, end, along)


def _constant(value: float, like: Any) -> Any:
    return op.Constant(value=onnx.numpy_helper.from_array(np.array(value, like.dtype.numpy())))


def _rsub(x: Any, other: float, alpha: float = 1) -> Any:
    return op.Sub(_constant(other, x), x if alpha == 1 else op.Mul(x, _constant(alpha, x)))


def _and(x: Any, y: Any) -> Any:
    return op.And(x, y) if x.dtype == BOOL else op.BitwiseAnd(x, y)


def _or(x: Any, y: Any) -> Any:
    return op.Or(x, y) if x.dtype == BOOL else op.BitwiseOr(x, y)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    operators.CONV: _conv,
    operators.BATCH_NORM: _batch_norm,
    operators.RESIZE: _resize,
    operators.RELU: lambda x: op.Relu(x),  # noqa: PLW0108  (the exporter reads its signature)
    operators.LINEAR: _linear,
    operators.PERMUTE: lambda x, order: op.Transpose(x, perm=list(order)),
    operators.RESHAPE: _reshape,
    operators.FLATTEN: _flatten,
    operators.UNFLATTEN: _unflatten,
    operators.SLICE: _slice,
    operators.POOL: _pool,
    # torch.onnx takes these apart, to arrive at the same.
    torch.ops.aten.conv_transpose2d.input: _conv_transpose,
    torch.ops.aten.to.dtype: lambda x, dtype: op.Cast(x, to=dtype),
    torch.ops.aten.square.default: lambda x: op.Mul(x, x),
    torch.ops.aten.rsub.Scalar: _rsub,
    torch.ops.aten.__and__.Tensor: _and,
    torch.ops.aten.__or__.Tensor: _or,
}
"""ONNX of operators, for the exporter's ``custom_translation_table``."""
