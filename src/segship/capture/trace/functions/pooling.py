"""Pooling, and changes of resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from segship.capture.adaptive_pooling import windows
from segship.capture.antialiasing import cubic, resized, triangle
from segship.capture.trace.arguments import each
from segship.capture.trace.dims import SymbolicDim, UntraceableError
from segship.capture.trace.functions.convolutions import stepped
from segship.capture.trace.meta_shapes import new
from segship.capture.trace.registry import composite, function

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []

_MAPS = 4  # axes of (N, C, H, W)
_LARGEST_GRID = 256  # patches along a side; a product with the weights of more is slower than a resize
_GRIDS = 20  # the first opset that names modes as torch does


def _pooled_shape(input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Tensor:
    count = input.dim() - 2
    kernel, pads, gaps = (each(option, count) for option in (kernel_size, padding, dilation))
    steps = each(stride, count) if stride else kernel
    sides = stepped(input.shape[2:], kernel, steps, pads * 2, gaps)
    if ceil_mode:
        more = [pad + step - 1 for pad, step in zip(pads, steps, strict=True)]
        limits = zip(input.shape[2:], steps, pads, strict=True)
        sides = iter(
            side - ((side - 1) * step >= length + pad)  # no window begins in the padding
            for side, (length, step, pad) in zip(
                stepped(input.shape[2:], kernel, steps, [*pads, *more], gaps), limits, strict=True
            )
        )
    return new((*input.shape[:2], *sides), input.dtype)


def _pooled(
    g: TracedGraph, kind: str, input: Any, kernel_size: Any, stride: Any, padding: Any, gaps: list[int], *,
    ceil_mode: bool, **how: Any,
) -> Value:  # fmt: skip
    kernel, pads = each(kernel_size, len(gaps)), each(padding, len(gaps)) * 2
    steps = each(stride, len(gaps)) if stride else kernel
    if not ceil_mode:
        g.declare_dims(stepped(input.shape[2:], kernel, steps, pads, gaps))
    how |= {"kernel_shape": kernel, "strides": steps, "pads": pads, "ceil_mode": int(ceil_mode)}
    return g.add(kind, g.tensor(input), **how)


def _max_pool_shape(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:  # fmt: skip
    return _pooled_shape(input, kernel_size, stride, padding, dilation, ceil_mode)


@function("max_pool2d", shape=_max_pool_shape)
def _max_pool(
    g: TracedGraph, _: Tensor, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Value:  # fmt: skip
    if return_indices:
        raise UntraceableError("the places of maxima")
    gaps = each(dilation, input.dim() - 2)
    return _pooled(g, "MaxPool", input, kernel_size, stride, padding, gaps, ceil_mode=ceil_mode, dilations=gaps)


def _avg_pool_shape(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *_: Any, **__: Any
) -> Tensor:  # fmt: skip
    return _pooled_shape(input, kernel_size, stride, padding, 1, ceil_mode)


@function("avg_pool2d", shape=_avg_pool_shape)
def _avg_pool(
    g: TracedGraph, _: Tensor, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Value:  # fmt: skip
    if divisor_override:
        raise UntraceableError("means with a divisor of their own")
    gaps, counted = [1] * (input.dim() - 2), int(count_include_pad)
    args = (g, "AveragePool", input, kernel_size, stride, padding, gaps)
    return _pooled(*args, ceil_mode=ceil_mode, count_include_pad=counted)


def _adaptive_shape(input: Tensor, output_size: Any) -> Tensor:
    sides = zip(each(output_size), input.shape[2:], strict=True)
    return new((*input.shape[:2], *(length if side is None else side for side, length in sides)), input.dtype)


@function("adaptive_avg_pool2d", shape=_adaptive_shape)
def _adaptive_avg_pool(g: TracedGraph, _: Tensor, input: Any, output_size: Any) -> Value:
    x = g.tensor(input)
    if (bins := tuple(each(output_size))) == (1, 1):
        return g.add("ReduceMean", x, g.constant([2, 3], "int64"), keepdims=1)
    for axis, count in zip((2, 3), bins, strict=True):
        if count is None:  # the input's own length
            continue
        along = g.constant(axis, "int64")
        parts = (g.part(x, axis, start, end) for start, end in windows(input.shape[axis], count))
        x = g.add("Concat", *[g.add("ReduceMean", part, along, keepdims=1) for part in parts], axis=axis)
    return x


@composite("adaptive_avg_pool1d")
def _adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    return F.adaptive_avg_pool2d(input.unsqueeze(-1), (each(output_size, 1)[0], 1)).squeeze(-1)


def _resized_shape(input: Tensor, size: Any = None, scale_factor: Any = None, *_: Any, **__: Any) -> Tensor:
    count = input.dim() - 2
    if size is not None:
        return new((*input.shape[:2], *each(size, count)), input.dtype)
    sides = (int(side * factor) for side, factor in zip(input.shape[2:], each(scale_factor, count), strict=True))
    return new((*input.shape[:2], *sides), input.dtype)


def _smoothed(input: Any, size: Any = None, *_: Any, mode: str = "nearest", antialias: bool = False, **how: Any) -> Any:
    """A grid of positions that is resized with antialiasing to free sides, as a product with weights.

    OpenVINO 2026.4 leaves antialiasing out of a cubic resize: smp's DPT kept 88 % of its labels.
    """
    kernel = {"bilinear": triangle, "bicubic": cubic}.get(mode)
    if not antialias or kernel is None or size is None or input.dim() != _MAPS or how.get("align_corners"):
        return None
    sides = each(size, 2)
    return resized(input, sides[0], sides[1], kernel) if _is_small(input) and _are_free(sides) else None


def _is_small(grid: Any) -> bool:
    return all(not isinstance(side, SymbolicDim) and side <= _LARGEST_GRID for side in grid.shape[2:])


def _are_free(sides: Iterable[Any]) -> bool:
    return any(isinstance(side, SymbolicDim) for side in sides)


@function("interpolate", shape=_resized_shape, instead=_smoothed)
def _interpolate(
    g: TracedGraph,
    out: Tensor,
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
    if mode not in kinds or (antialias and align_corners):
        raise UntraceableError(f"interpolation of mode {mode}{' with antialias and align_corners' * antialias}")
    how: dict[str, Any] = {"mode": kinds[mode]}
    how["coordinate_transformation_mode"] = "align_corners" if align_corners else "half_pixel"
    if mode == "nearest":
        how |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif mode == "bicubic":
        how["cubic_coeff_a"] = -0.5 if antialias else -0.75
    if antialias:  # outside the image there is nothing to weigh, which torch tells so and ONNX with `exclude_outside`
        how |= {"antialias": 1, "exclude_outside": 1}
    axes = out.dim() - 2
    if size is None:
        scales = g.constant([1.0, 1.0, *each(scale_factor, axes)], "float32")
        return g.add("Resize", g.tensor(input), None, scales, **how)
    sides = each(size, axes)
    g.declare_dims(sides)
    x = g.tensor(input)
    # OpenVINO 2026.4 computes int8 wrong around a resize of free sides whose channels are a constant of its sizes:
    # DDRNet kept 80 % of its labels, and 97 % so.
    kept = input.shape[:2]
    free = any(isinstance(side, SymbolicDim) for side in (*kept, *sides))
    sizes = (
        g.join(g.add("Shape", x, dtype="int64", start=0, end=2), g.sizes(sides)) if free else g.sizes([*kept, *sides])
    )
    return g.add("Resize", x, None, None, sizes, **how)


def _grid_shape(input: Tensor, grid: Tensor, *_: Any, **__: Any) -> Tensor:
    return new((*input.shape[:2], *grid.shape[1:-1]), input.dtype)


@function("grid_sample", shape=_grid_shape)
def _grid_sample(
    g: TracedGraph,
    _: Tensor,
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Value:
    if mode == "bilinear" and (g.opset is None or g.opset >= _GRIDS):
        mode = "linear"  # as opset 20 calls it
    how: dict[str, Any] = {"mode": mode, "padding_mode": padding_mode, "align_corners": int(bool(align_corners))}
    return g.add("GridSample", g.tensor(input), g.tensor(grid), **how)
