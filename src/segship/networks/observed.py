"""A run of a module that tells which values its result can have: what `segship.onnxgraph.ranges` does for graphs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from segship.onnxgraph.ranges import ANY, Range, range_after, range_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["observe"]

_NOTED = "_segship_range"
_SMALL = 4096  # numbers; larger tensors that no operator made are images or weights
_CLIPS = {"clamp", "clamp_min", "clamp_max", "hardtanh", "relu6"}
_NAMES = {
    "sigmoid": "Sigmoid", "softmax": "Softmax", "hardsigmoid": "HardSigmoid", "tanh": "Tanh", "erf": "Erf",
    "exp": "Exp", "softplus": "Softplus", "sqrt": "Sqrt", "argmax": "ArgMax", "argmin": "ArgMin", "relu": "Relu",
    "gt": "Greater", "lt": "Less", "ge": "GreaterOrEqual", "le": "LessOrEqual", "eq": "Equal", "ne": "Equal",
    "logical_not": "Not", "logical_and": "And", "logical_or": "Or", "bitwise_and": "And", "bitwise_or": "Or",
    "round": "Round", "floor": "Floor", "ceil": "Ceil", "cat": "Concat", "stack": "Concat", "maximum": "Max",
    "minimum": "Min", "where": "Where", "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg",
    "reciprocal": "Reciprocal", "mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin",
    "upsample_bilinear2d": "ResizeLinear", "upsample_nearest2d": "ResizeNearest",
    "upsample_nearest_exact2d": "ResizeNearest", "avg_pool2d": "AveragePool", "adaptive_avg_pool2d": "AveragePool",
    "max_pool2d_with_indices": "MaxPool", "max_pool2d": "MaxPool", "max": "ReduceMax", "min": "ReduceMin",
    "constant_pad_nd": "Pad", "pixel_shuffle": "Identity", "pixel_unshuffle": "Identity",
} | dict.fromkeys(
    (
        "view", "unsafe_view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "slice", "select", "narrow",
        "index_select", "expand", "clone", "contiguous", "alias", "detach", "flip", "t", "split", "chunk", "unbind",
        "split_with_sizes", "repeat", "gather", "reshape_alias", "flatten", "lift_fresh",
    ),
    "Identity",
)  # fmt: skip


def observe(function: Callable[[Tensor], Any], x: Tensor) -> tuple[Any, Callable[[Tensor], Range]]:
    """Run a function, and note of every tensor that it makes which values it can have.

    Args:
        function: Of the image.
        x: The image.

    Returns:
        What the function returns; and what is known of a tensor in it.
    """
    with torch.no_grad(), _Observer():  # type: ignore[no-untyped-call]
        found = function(x)
    return found, lambda tensor: getattr(tensor, _NOTED, ANY)


class _Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the range of each result on the tensor itself, so that nothing is kept alive."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2].strip("_")  # noqa: SLF001  (the only place an operator's name is)
        results = result if isinstance(result, (tuple, list)) else [result]
        found = _range_after(name, args, kwargs or {})
        for place, each in enumerate(results):
            if isinstance(each, Tensor):
                index = place > 0 and name in {"max", "min", "topk", "sort", "mode"}
                setattr(each, _NOTED, Range(0, math.inf, whole=True) if index else _typed(found, each))
        return result


def _typed(found: Range, tensor: Tensor) -> Range:
    """The range, of whole numbers where the type has no others."""
    if tensor.is_floating_point() or found.whole:
        return found
    return Range(0, 1, whole=True) if tensor.dtype == torch.bool else Range(found.low, found.high, whole=True)


def _range_after(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Range:
    if name == "rsub":  # other - input
        return range_after("Sub", [_range(args[1]), _range(args[0])])
    if name in _CLIPS:
        return range_after("Clip", [_range(args[0]), *_bounds(name, args, kwargs)])
    if name in {"to_copy", "to", "type_as", "copy"}:
        return _range(args[1] if name == "copy" else args[0])
    if name not in _NAMES:
        return ANY
    if _factor(name, args, kwargs) != 1:
        return ANY
    given = args[0] if name in {"cat", "stack"} else args
    return range_after(
        _NAMES[name], [_range(each) for each in given if isinstance(each, (Tensor, int, float, type(None)))]
    )


def _factor(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a sum multiplies its second part by."""
    place = 2  # of alpha, in add and sub
    return kwargs.get("alpha", args[place] if name in {"add", "sub"} and len(args) > place else 1)


def _bounds(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Range, Range]:
    if name == "relu6":
        return Range(0, 0), Range(6, 6)
    given = list(args[1:3])
    if name == "clamp_max":
        given.insert(0, None)
    for place, names in enumerate((("min", "min_val"), ("max", "max_val"))):
        while len(given) <= place:
            given.append(next((kwargs[each] for each in names if each in kwargs), None))
    if name == "hardtanh":
        given = [otherwise if each is None else each for each, otherwise in zip(given, (-1, 1), strict=True)]
    return _range(given[0]), _range(given[1])


def _range(value: Any) -> Range:
    if isinstance(value, (bool, int, float)):
        return Range(float(value), float(value), whole=float(value).is_integer())
    if not isinstance(value, Tensor):
        return ANY
    if hasattr(value, _NOTED):
        found: Range = getattr(value, _NOTED)
        return found
    return range_of(value.detach().cpu().numpy()) if value.numel() <= _SMALL else ANY
