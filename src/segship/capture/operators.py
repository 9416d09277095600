"""Layers that are captured as one operator.

torch describes a convolution, a normalisation or a change of shape to its tracer as dozens of small steps, whose
arithmetic on symbolic sizes and strides is most of what capturing a network costs. ONNX has each as one operator and
knows no strides, so each is traced as one, and returns a tensor of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

__all__ = [
    "BATCH_NORM",
    "CONV",
    "FLATTEN",
    "LINEAR",
    "PERMUTE",
    "POOL",
    "RELU",
    "RESHAPE",
    "RESIZE",
    "RESIZES",
    "SLICE",
    "UNFLATTEN",
    "ExactLayers",
    "WholeLayers",
    "may_alias",
]

RESIZES = {"bilinear": "linear", "nearest": "nearest"}
"""Modes of `segship::resize` -> of ONNX."""

_MAPS = 4  # axes of (N, C, H, W)


class WholeLayers(TorchFunctionMode):
    """While it is entered, the functions of `_WHOLE` are operators ``segship::…`` of their own.

    They have no arithmetic: a program traced so is there to be translated, with `segship.capture.translations`.
    """

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The operator in place of ``function``, where it has one."""
        kwargs = kwargs or {}
        whole = _WHOLE.get(function)
        result = whole(*args, **kwargs) if whole else None
        return function(*args, **kwargs) if result is None else result


class ExactLayers(TorchFunctionMode):
    """While it is entered, adaptive average pooling is slices and means, which every engine computes as torch does.

    torch's exporters write what is right at the traced size only. A window's average is separable, so slices and means
    along one axis after the other say the same.
    """

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """What stands for ``function``, or itself."""
        kwargs = kwargs or {}
        result = _pool_exactly(*args, **kwargs) if function is F.adaptive_avg_pool2d else None
        return function(*args, **kwargs) if result is None else result


def may_alias(program: torch.export.ExportedProgram) -> bool:
    """Whether ``program`` changes a tensor in place and has operators that should have shared their memory with it."""
    calls = {node.target for node in program.graph.nodes if node.op == "call_function"}
    calls = {call for call in calls if isinstance(call, torch._ops.OpOverload)}  # noqa: SLF001
    return any(call._schema.is_mutable for call in calls) and not calls.isdisjoint(_VIEWS)  # noqa: SLF001


def _define(schema: str, fake: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operator ``segship::`` of a schema, and the shape of what it returns."""
    name = schema.partition("(")[0]
    torch.library.define(f"segship::{name}", schema.removeprefix(name))
    torch.library.register_fake(f"segship::{name}", fake)
    operator: Callable[..., Tensor] = getattr(torch.ops.segship, name).default
    return operator


def _convolved(
    x: Tensor,
    weight: Tensor,
    _: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    __: int,
) -> Tensor:
    sides = (
        (side + 2 * pad - gap * (kernel - 1) - 1) // step + 1
        for side, pad, gap, kernel, step in zip(x.shape[2:], padding, dilation, weight.shape[2:], stride, strict=True)
    )
    return x.new_empty(x.shape[0], weight.shape[0], *sides)


def _sliced(x: Tensor, axis: int, start: int, end: int) -> Tensor:
    return x.new_empty(*x.shape[:axis], end - start, *x.shape[axis + 1 :])


def _flattened(x: Tensor, start: int, end: int) -> Tensor:
    return x.new_empty(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])


# The operators that WholeLayers puts in place of torch's functions.
CONV = _define(
    "conv2d(Tensor x, Tensor weight, Tensor? bias, int[2] stride, int[2] padding, int[2] dilation, int groups)"
    " -> Tensor",
    _convolved,
)
BATCH_NORM = _define(
    "batch_norm(Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor var, float eps) -> Tensor",
    lambda x, *_: torch.empty_like(x),
)
RESIZE = _define(
    "resize(Tensor x, SymInt h, SymInt w, str mode, bool align_corners) -> Tensor",
    lambda x, h, w, *_: x.new_empty(*x.shape[:2], h, w),
)
RELU = _define("relu(Tensor x) -> Tensor", lambda x: x.new_empty(x.shape))
LINEAR = _define(
    "linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor",
    lambda x, weight, _: x.new_empty(*x.shape[:-1], weight.shape[0]),
)
PERMUTE = _define(
    "permute(Tensor x, int[] order) -> Tensor", lambda x, order: x.new_empty([x.shape[axis] for axis in order])
)
RESHAPE = _define("reshape(Tensor x, SymInt[] shape) -> Tensor", lambda x, shape: x.new_empty(shape))
FLATTEN = _define("flatten(Tensor x, int start, int end) -> Tensor", _flattened)
UNFLATTEN = _define(
    "unflatten(Tensor x, int axis, SymInt[] sizes) -> Tensor",
    lambda x, axis, sizes: x.new_empty(*x.shape[:axis], *sizes, *x.shape[axis + 1 :]),
)
POOL = _define(
    "pool(Tensor x, SymInt length, int bins, int axis) -> Tensor",
    lambda x, _, bins, axis: x.new_empty(*x.shape[:axis], bins, *x.shape[axis + 1 :]),
)
SLICE = _define("slice(Tensor x, int axis, SymInt start, SymInt end) -> Tensor", _sliced)

_VIEWS = {PERMUTE, RESHAPE, FLATTEN, UNFLATTEN, SLICE}  # of torch's functions, these may return the same memory


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor | None:
    if input.dim() != _MAPS or isinstance(padding, str):
        return None
    steps = ([step] * 2 if isinstance(step, int) else step for step in (stride, padding, dilation))
    return CONV(input, weight, bias, *steps, groups)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    del momentum
    parts = (weight, bias, running_mean, running_var)
    return None if training or any(part is None for part in parts) else BATCH_NORM(input, *parts, eps)


def _interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor | None:
    del scale_factor, recompute_scale_factor
    if size is None or input.dim() != _MAPS or mode not in RESIZES or antialias:
        return None
    height, width = (size, size) if isinstance(size, (int, torch.SymInt)) else size
    return RESIZE(input, height, width, mode, bool(align_corners))


def _relu(input: Tensor, inplace: bool = False) -> Tensor | None:
    return None if inplace else RELU(input)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    return LINEAR(input, weight, bias) if weight.dim() == 2 and input.dim() > 1 else None


def _permute(input: Tensor, *order: Any, dims: Sequence[int] | None = None) -> Tensor:
    axes = dims if dims is not None else order[0] if isinstance(order[0], (tuple, list)) else order
    return PERMUTE(input, [axis % input.dim() for axis in axes])


def _transpose(input: Tensor, dim0: int, dim1: int) -> Tensor | None:
    axes = list(range(input.dim()))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return PERMUTE(input, axes)


def _reshape(input: Tensor, *sizes: Any, shape: Sequence[int] | None = None) -> Tensor | None:
    wanted = shape if shape is not None else sizes[0] if isinstance(sizes[0], (tuple, list)) else sizes
    return None if _open(wanted) else RESHAPE(input, list(wanted))


def _flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor | None:
    rank = input.dim()
    return FLATTEN(input, start_dim % rank, end_dim % rank) if rank else None


def _unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor | None:
    return None if _open(sizes) else UNFLATTEN(input, dim % input.dim(), list(sizes))


def _open(sizes: Iterable[Any]) -> bool:
    """Whether one of the sizes is left for torch to find."""
    return any(isinstance(size, int) and size < 0 for size in sizes)


def _narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor | None:
    if not isinstance(start, torch.SymInt) and (not isinstance(start, int) or start < 0):
        return None
    return SLICE(input, dim % input.dim(), start, start + length)


def _windows_along(x: Tensor, bins: int, axis: int) -> Tensor:
    """Averages over ``bins`` windows of an axis: from floor(i * length / bins) to ceil((i + 1) * length / bins)."""
    length = x.shape[axis]
    ends = [((i * length) // bins, ((i + 1) * length + bins - 1) // bins) for i in range(bins)]
    # Not x[:, start:end]: that asks whether the numbers lie within the length.
    windows = [torch.ops.aten.slice.Tensor(x, axis, start, end) for start, end in ends]
    return torch.cat([window.mean(axis, keepdim=True) for window in windows], dim=axis)


def _pool_along(axis_pool: Callable[[Tensor, int, int], Tensor], x: Tensor, output_size: Any) -> Tensor | None:
    rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
    if x.dim() != _MAPS:
        return None
    if (rows, columns) == (1, 1):
        return x.mean((2, 3), keepdim=True)
    for axis, bins in ((2, rows), (3, columns)):
        x = x if bins is None else axis_pool(x, bins, axis)  # None: the input's own length
    return x


def _pool(input: Tensor, output_size: Any) -> Tensor | None:
    # The length is told, though x has it: then maps of one size share what is computed from it.
    return _pool_along(lambda x, bins, axis: POOL(x, x.shape[axis], bins, axis), input, output_size)


def _pool_exactly(input: Tensor, output_size: Any) -> Tensor | None:
    return _pool_along(_windows_along, input, output_size)


_WHOLE: dict[Any, Callable[..., Tensor | None]] = {
    F.conv2d: _conv2d,
    F.batch_norm: _batch_norm,
    F.interpolate: _interpolate,
    F.relu: _relu,
    torch.relu: _relu,
    torch.Tensor.relu: _relu,
    F.linear: _linear,
    torch.permute: _permute,
    torch.Tensor.permute: _permute,
    torch.transpose: _transpose,
    torch.Tensor.transpose: _transpose,
    torch.reshape: _reshape,
    torch.Tensor.reshape: _reshape,
    torch.flatten: _flatten,
    torch.Tensor.flatten: _flatten,
    torch.unflatten: _unflatten,
    torch.Tensor.unflatten: _unflatten,
    torch.narrow: _narrow,
    torch.Tensor.narrow: _narrow,
    F.adaptive_avg_pool2d: _pool,
}
