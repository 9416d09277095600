"""Layers that are captured as one operator.

torch describes a normalisation or a resize to its tracer as dozens of small steps, whose arithmetic on symbolic sizes
is most of what capturing a network costs. ONNX has each as one operator, so each is traced as one.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from onnxscript import opset18
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

__all__ = ["TRANSLATIONS", "WholeLayers"]

op: Any = opset18  # its annotations do not know each other

_RESIZES = {"bilinear": "linear", "nearest": "nearest"}

torch.library.define(
    "segship::batch_norm", "(Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor var, float eps) -> Tensor"
)
torch.library.define("segship::resize", "(Tensor x, SymInt h, SymInt w, str mode, bool align_corners) -> Tensor")
torch.library.register_fake("segship::batch_norm", lambda x, *_: torch.empty_like(x))
torch.library.register_fake("segship::resize", lambda x, h, w, *_: x.new_empty(*x.shape[:2], h, w))


class WholeLayers(TorchFunctionMode):
    """While it is entered, batch normalisation and resizing to a size are operators ``segship::…`` of their own.

    They have no arithmetic: a program traced so is there to be translated, with `TRANSLATIONS`.
    """

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The operator in place of ``function``, where it has one."""
        kwargs = kwargs or {}
        if function in _WHOLE:
            signature, whole = _WHOLE[function]
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            result = whole(given.arguments)
            if result is not None:
                return result
        return function(*args, **kwargs)


def _batch_norm(given: Mapping[str, Any]) -> Tensor | None:
    parts = [given[name] for name in ("input", "weight", "bias", "running_mean", "running_var")]
    if given["training"] or any(part is None for part in parts):
        return None
    normalised: Tensor = torch.ops.segship.batch_norm(*parts, given["eps"])
    return normalised


def _resize(given: Mapping[str, Any]) -> Tensor | None:
    x, size, mode = given["input"], given["size"], given["mode"]
    if size is None or x.dim() != 4 or mode not in _RESIZES or given["antialias"]:  # noqa: PLR2004
        return None
    height, width = (size, size) if isinstance(size, (int, torch.SymInt)) else size
    resized: Tensor = torch.ops.segship.resize(x, height, width, mode, bool(given["align_corners"]))
    return resized


_WHOLE: dict[Any, tuple[inspect.Signature, Callable[[Mapping[str, Any]], Tensor | None]]] = {
    function: (inspect.signature(function), whole)
    for function, whole in ((F.batch_norm, _batch_norm), (F.interpolate, _resize))
}


def _onnx_batch_norm(x: Any, w: Any, b: Any, mean: Any, var: Any, eps: float) -> Any:
    return op.BatchNormalization(x, w, b, mean, var, epsilon=eps)


def _onnx_resize(x: Any, h: Any, w: Any, mode: str, align_corners: bool) -> Any:
    one = op.Constant(value_ints=[1])
    sides = [op.Constant(value_ints=[side]) if isinstance(side, int) else op.Reshape(side, one) for side in (h, w)]
    parts: list[Any] = [op.Shape(x, end=2), *sides]
    where = "asymmetric" if mode == "nearest" else "align_corners" if align_corners else "half_pixel"
    size = op.Concat(*parts, axis=0)
    kind = _RESIZES[mode]
    return op.Resize(x, None, None, size, mode=kind, coordinate_transformation_mode=where, nearest_mode="floor")


def _onnx_conv_transpose(
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


def _onnx_flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    rank = len(x.shape)
    start, end = start_dim % max(rank, 1), end_dim % max(rank, 1)
    return _reshaped(x, start, [-1], end + 1) if rank else op.Reshape(x, op.Constant(value_ints=[1]))


def _onnx_unflatten(x: Any, dim: int, sizes: Sequence[Any]) -> Any:
    free = [at for at, size in enumerate(sizes) if not isinstance(size, int)]
    if free and -1 not in sizes:  # one may be left to the engine
        sizes = [-1 if at == free[0] else size for at, size in enumerate(sizes)]
    dim %= len(x.shape)
    return _reshaped(x, dim, sizes, dim + 1)


def _reshaped(x: Any, start: int, sizes: Sequence[Any], end: int) -> Any:
    """``x`` with ``sizes``, of which one may be -1, in place of the axes from ``start`` to before ``end``."""
    after = [side if isinstance(side, int) else None for side in x.shape[end:]]
    parts: list[Any] = [0] * start + list(sizes)  # 0: as it is
    if None in after:
        parts.append(op.Shape(x, start=end))
    else:
        parts.extend(after)
    if all(isinstance(part, int) for part in parts):
        return op.Reshape(x, op.Constant(value_ints=parts))
    one = op.Constant(value_ints=[1])
    tensors = [op.Constant(value_ints=[part]) if isinstance(part, int) else part for part in parts]
    count = start + len(sizes)
    tensors[start:count] = [op.Reshape(tensor, one) for tensor in tensors[start:count]]
    return op.Reshape(x, op.Concat(*tensors, axis=0))


def _onnx_cast(x: Any, dtype: int) -> Any:
    return op.Cast(x, to=dtype)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.segship.batch_norm.default: _onnx_batch_norm,
    torch.ops.segship.resize.default: _onnx_resize,
    # torch.onnx would ask for the shape of every tensor, though most sides are known or stay.
    torch.ops.aten.flatten.using_ints: _onnx_flatten,
    torch.ops.aten.unflatten.int: _onnx_unflatten,
    # torch.onnx takes these apart, to arrive at the same.
    torch.ops.aten.conv_transpose2d.input: _onnx_conv_transpose,
    torch.ops.aten.to.dtype: _onnx_cast,
    torch.ops.aten.square.default: lambda x: op.Mul(x, x),
    torch.ops.aten.__or__.Tensor: lambda x, y: op.Or(x, y),  # noqa: PLW0108  (the exporter reads its signature)
}
"""ONNX of operators that torch.onnx translates not at all or at length, for its ``custom_translation_table``."""
