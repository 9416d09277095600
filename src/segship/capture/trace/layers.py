"""Layers of torch: convolutions, normalisation, attention, pooling, resizing.

Each function takes the `Record`, the result for the first example, and the arguments of torch's function under torch's
names; it returns where the result is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.arguments import each, plain
from segship.capture.trace.tensors import Length, UnrecordedError
from segship.onnxgraph.conventions import ATTENTION_OPSET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from segship.capture.trace.tensors import Record
    from segship.onnxgraph.build import Value

__all__ = ["LAYERS"]

_MAPS = 4  # axes of (N, C, H, W)
_GRIDS, _GROUP_NORM = 20, 21  # the first opsets that name modes as torch does, and that have it


def _stepped(
    input: Any, kernel: Sequence[int], steps: Sequence[int], pads: Sequence[int], gaps: Sequence[int]
) -> Iterator[int]:
    """Lengths of what a kernel makes of the axes it goes along; ``pads`` are those before, and those after."""
    for axis, (side, step, gap) in enumerate(zip(kernel, steps, gaps, strict=True)):
        missing = gap * (side - 1) + 1 - pads[axis] - pads[len(steps) + axis]
        yield (input.shape[2 + axis] + (step - missing)) // step


def _conv(
    r: Record,
    _: torch.Tensor,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    count = input.dim() - 2
    steps, gaps = each(stride, count), each(dilation, count)
    if isinstance(padding, str):
        missing = [gap * (side - 1) for gap, side in zip(gaps, weight.shape[2:], strict=True)]
        before = [length // 2 if padding == "same" else 0 for length in missing]
        pads = [
            *before,
            *(length - first if padding == "same" else 0 for length, first in zip(missing, before, strict=True)),
        ]
    else:
        pads = each(padding, count) * 2
    inputs = [r.tensor(part) for part in (input, weight, bias) if part is not None]
    r.learn(_stepped(input, weight.shape[2:], steps, pads, gaps))
    return r.add("Conv", *inputs, strides=steps, pads=pads, dilations=gaps, group=groups)


def _conv_transpose(
    r: Record,
    _: torch.Tensor,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Value:
    steps, pads, more, gaps = (each(option, input.dim() - 2) for option in (stride, padding, output_padding, dilation))
    options = zip(input.shape[2:], weight.shape[2:], steps, pads, more, gaps, strict=True)
    r.learn(
        side * step + (gap * (kernel - 1) + added + 1 - step - 2 * pad)
        for side, kernel, step, pad, added, gap in options
    )
    inputs = [r.tensor(part) for part in (input, weight, bias) if part is not None]
    how: dict[str, Any] = {
        "strides": steps,
        "pads": pads * 2,
        "output_padding": more,
        "group": groups,
        "dilations": gaps,
    }
    return r.add("ConvTranspose", *inputs, **how)


def _batch_norm(
    r: Record,
    _: torch.Tensor,
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    del momentum
    if training or not isinstance(running_mean, torch.Tensor):
        raise UnrecordedError("normalisation by the batch's own figures")
    ones = torch.ones_like(running_mean)
    scale, shift = ones if weight is None else weight, ones * 0 if bias is None else bias
    parts = (r.tensor(part) for part in (input, scale, shift, running_mean, running_var))
    return r.add("BatchNormalization", *parts, epsilon=float(eps))


def _layer_norm(
    r: Record, _: torch.Tensor, input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Value:  # fmt: skip
    scale = torch.ones(tuple(normalized_shape)) if weight is None else weight
    parts = (r.tensor(part) for part in (input, scale, bias) if part is not None)
    return r.add("LayerNormalization", *parts, axis=-len(normalized_shape), epsilon=float(eps))


def _group_norm(
    r: Record, out: torch.Tensor, input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Value:
    channels = out.shape[1]
    scale, shift = (
        torch.full((channels,), rest) if part is None else part for part, rest in ((weight, 1.0), (bias, 0.0))
    )
    x = r.tensor(input)
    if (r.opset or 0) >= _GROUP_NORM:
        parts = (r.tensor(scale), r.tensor(shift))
        return r.add("GroupNormalization", x, *parts, num_groups=num_groups, epsilon=float(eps))
    ones = torch.ones(num_groups)
    flat = r.add("Reshape", x, r.constant([0, num_groups, -1], "int64"))
    even = r.add("InstanceNormalization", flat, r.tensor(ones), r.tensor(ones * 0), epsilon=float(eps))
    even = r.add("Reshape", even, r.sizes(list(input.shape)))
    shape = (-1, *[1] * (input.dim() - 2))
    return r.add("Add", r.add("Mul", even, r.tensor(scale.reshape(shape))), r.tensor(shift.reshape(shape)))


def _instance_norm(
    r: Record, out: torch.Tensor, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Value:  # fmt: skip
    del momentum
    if not use_input_stats:
        return _batch_norm(r, out, input, running_mean, running_var, weight, bias, eps=eps)
    ones = torch.ones(out.shape[1])
    parts = (input, ones if weight is None else weight, ones * 0 if bias is None else bias)
    return r.add("InstanceNormalization", *map(r.tensor, parts), epsilon=float(eps))


def _linear(r: Record, _: torch.Tensor, input: Any, weight: Any, bias: Any = None) -> Value:
    x = r.tensor(input)
    if not isinstance(weight, torch.Tensor):
        raise UnrecordedError("a weight that is computed")
    if input.dim() == 2:
        return r.add("Gemm", x, *(r.tensor(part) for part in (weight, bias) if part is not None), transB=1)
    product = r.add("MatMul", x, r.tensor(r.transposed_weight(weight)))
    return product if bias is None else r.add("Add", product, r.tensor(bias))


def _attention(
    r: Record,
    out: torch.Tensor,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    if dropout_p or is_causal or enable_gqa:
        raise UnrecordedError("attention of a kind that no network here has")
    q, k, v = (r.tensor(part) for part in (query, key, value))
    mask = None if attn_mask is None else r.tensor(attn_mask)
    heads = {example.shape[1:2] for example in map(plain, (query, key, value))}
    whole = mask is None or plain(attn_mask).shape[-2:] == (out.shape[-2], plain(key).shape[-2])  # as engines want it
    if whole and (r.opset is None or r.opset >= ATTENTION_OPSET) and out.dim() == _MAPS and len(heads) == 1:
        r.opset = ATTENTION_OPSET if r.opset is None else r.opset
        how: dict[str, Any] = {} if scale is None else {"scale": float(scale)}
        return r.add("Attention", *([q, k, v] if mask is None else [q, k, v, mask]), **how)
    factor = plain(query).shape[-1] ** -0.5 if scale is None else scale
    axes = list(range(key.dim()))
    transposed = r.add("Transpose", k, perm=[*axes[:-2], axes[-1], axes[-2]])
    scores = r.add("MatMul", r.add("Mul", q, r.number(factor, q.dtype)), transposed)
    if mask is not None and mask.dtype == "bool":
        mask = r.where(mask, r.number(0, q.dtype), r.number(-math.inf, q.dtype))
    scores = scores if mask is None else r.add("Add", scores, mask)
    return r.add("MatMul", r.add("Softmax", scores, axis=-1), v)


def _max_pool(
    r: Record, _: torch.Tensor, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Value:  # fmt: skip
    if return_indices:
        raise UnrecordedError("the places of maxima")
    gaps = each(dilation, input.dim() - 2)
    return _pooled(r, "MaxPool", input, kernel_size, stride, padding, gaps, ceil_mode=ceil_mode, dilations=gaps)


def _avg_pool(
    r: Record, _: torch.Tensor, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Value:  # fmt: skip
    if divisor_override:
        raise UnrecordedError("means with a divisor of their own")
    gaps, counted = [1] * (input.dim() - 2), int(count_include_pad)
    args = (r, "AveragePool", input, kernel_size, stride, padding, gaps)
    return _pooled(*args, ceil_mode=ceil_mode, count_include_pad=counted)


def _pooled(
    r: Record, kind: str, input: Any, kernel_size: Any, stride: Any, padding: Any, gaps: list[int], *, ceil_mode: bool,
    **how: Any,
) -> Value:  # fmt: skip
    kernel, pads = each(kernel_size, len(gaps)), each(padding, len(gaps)) * 2
    steps = each(stride, len(gaps)) if stride else kernel
    if not ceil_mode:
        r.learn(_stepped(input, kernel, steps, pads, gaps))
    how |= {"kernel_shape": kernel, "strides": steps, "pads": pads, "ceil_mode": int(ceil_mode)}
    return r.add(kind, r.tensor(input), **how)


def _adaptive_avg_pool(r: Record, _: torch.Tensor, input: Any, output_size: Any) -> Value:
    """Windows from floor(i * length / bins) to ceil((i + 1) * length / bins), whose mean is separable."""
    x = r.tensor(input)
    if (bins := tuple(each(output_size))) == (1, 1):
        return r.add("ReduceMean", x, r.constant([2, 3], "int64"), keepdims=1)
    for axis, count in zip((2, 3), bins, strict=True):
        if count is None:  # the input's own length
            continue
        length = input.shape[axis]
        ends = (((at * length) // count, ((at + 1) * length + (count - 1)) // count) for at in range(count))
        along = r.constant(axis, "int64")
        windows = [r.add("ReduceMean", r.part(x, axis, start, end), along, keepdims=1) for start, end in ends]
        x = r.add("Concat", *windows, axis=axis)
    return x


def _interpolate(
    r: Record,
    out: torch.Tensor,
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Value:
    del recompute_scale_factor
    kinds = {"bilinear": "linear", "linear": "linear", "nearest": "nearest", "bicubic": "cubic"}
    if antialias or mode not in kinds:
        raise UnrecordedError(f"interpolation of mode {mode}")
    how: dict[str, Any] = {"mode": kinds[mode]}
    how["coordinate_transformation_mode"] = "align_corners" if align_corners else "half_pixel"
    if mode == "nearest":
        how |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif mode == "bicubic":
        how["cubic_coeff_a"] = -0.75
    axes = out.dim() - 2
    if size is None:
        scales = r.constant([1.0, 1.0, *each(scale_factor, axes)], "float32")
        return r.add("Resize", r.tensor(input), None, scales, **how)
    sides = each(size, axes)
    r.learn(sides)
    x = r.tensor(input)
    # OpenVINO 2026.4 computes int8 wrong around a resize of free sides whose channels are a constant of its sizes:
    # DDRNet kept 80 % of its labels, and 97 % so.
    kept = input.shape[:2]
    free = any(isinstance(side, Length) for side in (*kept, *sides))
    sizes = (
        r.join(r.add("Shape", x, dtype="int64", start=0, end=2), r.sizes(sides)) if free else r.sizes([*kept, *sides])
    )
    return r.add("Resize", x, None, None, sizes, **how)


def _grid_sample(
    r: Record,
    _: torch.Tensor,
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Value:
    if mode == "bilinear" and (r.opset is None or r.opset >= _GRIDS):
        mode = "linear"  # as opset 20 calls it
    how: dict[str, Any] = {"mode": mode, "padding_mode": padding_mode, "align_corners": int(bool(align_corners))}
    return r.add("GridSample", r.tensor(input), r.tensor(grid), **how)


def _dropout(
    r: Record, _: torch.Tensor, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Value:
    del p, inplace
    if training:
        raise UnrecordedError("a network in training")
    return r.tensor(input)


LAYERS: dict[str, Callable[..., Value]] = {
    "conv1d": _conv,
    "conv2d": _conv,
    "conv_transpose2d": _conv_transpose,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "linear": _linear,
    "scaled_dot_product_attention": _attention,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive_avg_pool,
    "interpolate": _interpolate,
    "grid_sample": _grid_sample,
    "dropout": _dropout,
}
"""Functions by the names torch gives them."""
