"""Functions that compute number by number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.arguments import first_example
from segship.capture.trace.dims import UntraceableError
from segship.capture.trace.meta_shapes import broadcast, combined, new, of_floats, same
from segship.capture.trace.registry import function
from segship.capture.trace.tensors import is_weight

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []

_GELU = 20  # the first opset that has it


def _of_one(operator: str, **attributes: Any) -> Callable[..., Value]:
    def write(g: TracedGraph, out: Tensor, input: Any) -> Value:
        return g.add(operator, g.tensor(input, out.dtype), **attributes)

    return write


function("relu", shape=same)(_of_one("Relu"))
function("abs", "absolute", shape=same)(_of_one("Abs"))
function("neg", "negative", shape=same)(_of_one("Neg"))
function("sign", "sgn", shape=same)(_of_one("Sign"))
function("floor")(_of_one("Floor"))
function("ceil")(_of_one("Ceil"))
function("round")(_of_one("Round"))
function("sigmoid", shape=of_floats)(_of_one("Sigmoid"))
function("tanh", shape=of_floats)(_of_one("Tanh"))
function("exp", shape=of_floats)(_of_one("Exp"))
function("log", shape=of_floats)(_of_one("Log"))
function("sqrt", shape=of_floats)(_of_one("Sqrt"))
function("reciprocal", shape=of_floats)(_of_one("Reciprocal"))
function("sin", shape=of_floats)(_of_one("Sin"))
function("cos", shape=of_floats)(_of_one("Cos"))
function("erf", shape=of_floats)(_of_one("Erf"))
function("softplus", shape=of_floats)(_of_one("Softplus"))
function("mish", shape=of_floats)(_of_one("Mish"))
function("hardswish", shape=same)(_of_one("HardSwish"))
function("hardsigmoid", shape=of_floats)(_of_one("HardSigmoid", alpha=1 / 6, beta=0.5))


@function("rsqrt", shape=of_floats)
def _rsqrt(g: TracedGraph, out: Tensor, input: Any) -> Value:
    return g.add("Reciprocal", g.add("Sqrt", g.tensor(input, out.dtype)))


@function("square", shape=same)
def _square(g: TracedGraph, _: Tensor, input: Any) -> Value:
    x = g.tensor(input)
    return g.add("Mul", x, x)


def _hard_shape(input: Tensor, *_: Any, **__: Any) -> Tensor:
    return same(input)


@function("hardtanh", shape=_hard_shape)
def _hardtanh(g: TracedGraph, out: Tensor, input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Value:
    return _clamp(g, out, input, min_val, max_val)


@function("relu6", shape=_hard_shape)
def _relu6(g: TracedGraph, out: Tensor, input: Any) -> Value:
    return _clamp(g, out, input, 0.0, 6.0)


@function("leaky_relu", shape=of_floats)
def _leaky_relu(g: TracedGraph, _: Tensor, input: Any, negative_slope: float = 0.01) -> Value:
    return g.add("LeakyRelu", g.tensor(input), alpha=float(negative_slope))


@function("elu", shape=of_floats)
def _elu(g: TracedGraph, _: Tensor, input: Any, alpha: float = 1.0) -> Value:
    return g.add("Elu", g.tensor(input), alpha=float(alpha))


@function("prelu", shape=same)
def _prelu(g: TracedGraph, _: Tensor, input: Any, weight: Any) -> Value:
    if not is_weight(weight):
        raise UntraceableError("a slope that is computed")
    return g.add("PRelu", g.tensor(input), g.tensor(weight.reshape(1, -1, *[1] * (input.dim() - 2))))


@function("silu", shape=of_floats)
def _silu(g: TracedGraph, _: Tensor, input: Any) -> Value:
    x = g.tensor(input)
    return g.add("Mul", x, g.add("Sigmoid", x))


@function("gelu", shape=of_floats)
def _gelu(g: TracedGraph, _: Tensor, input: Any, *, approximate: str = "none") -> Value:
    x = g.tensor(input)
    if g.opset is None or g.opset >= _GELU:
        return g.add("Gelu", x, approximate=approximate)
    if approximate != "none":
        raise UntraceableError("the approximate GELU below opset 20")
    inner = g.add("Erf", g.add("Div", x, g.number(math.sqrt(2), x.dtype)))
    return g.add("Mul", g.add("Mul", x, g.add("Add", inner, g.number(1, x.dtype))), g.number(0.5, x.dtype))


def _quotient_shape(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    dtype = torch.result_type(input, other)
    whole = rounding_mode is not None or dtype.is_floating_point
    return new(broadcast(input, other), dtype if whole else torch.get_default_dtype())


def _of_two(operator: str, *, swapped: bool = False) -> Callable[..., Value]:
    def write(g: TracedGraph, out: Tensor, input: Any, other: Any, *, alpha: float = 1) -> Value:
        left, right = (g.tensor(side, out.dtype) for side in (input, other))
        if alpha != 1:
            right = g.add("Mul", right, g.tensor(alpha, out.dtype))
        return g.add(operator, right, left) if swapped else g.add(operator, left, right)

    return write


function("add", "radd", shape=combined)(_of_two("Add"))
function("sub", "subtract", shape=combined)(_of_two("Sub"))


@function("mul", "multiply", "rmul", shape=combined)
def _mul(g: TracedGraph, out: Tensor, input: Any, other: Any) -> Value:
    return _of_two("And" if out.dtype == torch.bool else "Mul")(g, out, input, other)


function("rdiv", "rtruediv", shape=_quotient_shape)(_of_two("Div", swapped=True))
function("rpow", shape=combined)(_of_two("Pow", swapped=True))
function("minimum", shape=combined)(_of_two("Min"))
function("maximum", shape=combined)(_of_two("Max"))


@function("rsub", shape=combined)
def _rsub(g: TracedGraph, out: Tensor, input: Any, other: Any, *, alpha: float = 1) -> Value:
    return _of_two("Sub")(g, out, other, input, alpha=alpha)


@function("div", "divide", "truediv", "true_divide", shape=_quotient_shape)
def _div(g: TracedGraph, out: Tensor, input: Any, other: Any, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode == "floor":
        return _floor_div(g, out, input, other)
    if rounding_mode is not None:
        raise UntraceableError(f"a division that rounds by {rounding_mode}")
    return _of_two("Div")(g, out, input, other)


@function("floordiv", "floor_divide", shape=combined)
def _floor_div(g: TracedGraph, out: Tensor, input: Any, other: Any) -> Value:
    left, right = (g.tensor(side, out.dtype) for side in (input, other))
    if out.dtype.is_floating_point:
        return g.add("Floor", g.add("Div", left, right))
    # ONNX rounds towards zero; its Mod of whole numbers is Python's.
    return g.add("Div", g.add("Sub", left, g.add("Mod", left, right)), right)


@function("remainder", "mod", shape=combined)
def _remainder(g: TracedGraph, out: Tensor, input: Any, other: Any) -> Value:
    left, right = (g.tensor(side, out.dtype) for side in (input, other))
    if not out.dtype.is_floating_point:
        return g.add("Mod", left, right)
    return g.add("Sub", left, g.add("Mul", right, g.add("Floor", g.add("Div", left, right))))


@function("pow", shape=combined)
def _pow(g: TracedGraph, out: Tensor, input: Any, exponent: Any) -> Value:
    base = g.tensor(input, out.dtype)
    if isinstance(exponent, (int, float)) and exponent == 2:
        return g.add("Mul", base, base)
    return g.add("Pow", base, g.tensor(exponent, out.dtype))


def _condition_shape(input: Any, other: Any) -> Tensor:
    return new(broadcast(input, other), torch.bool)


def _comparison(operator: str, *, negated: bool = False) -> Callable[..., Value]:
    def write(g: TracedGraph, _: Tensor, input: Any, other: Any) -> Value:
        dtype = torch.result_type(*(first_example(side) for side in (input, other)))
        found = g.add(operator, g.tensor(input, dtype), g.tensor(other, dtype), dtype="bool")
        return g.add("Not", found) if negated else found

    return write


function("eq", shape=_condition_shape)(_comparison("Equal"))
function("ne", "not_equal", shape=_condition_shape)(_comparison("Equal", negated=True))
function("lt", "less", shape=_condition_shape)(_comparison("Less"))
function("le", "less_equal", shape=_condition_shape)(_comparison("LessOrEqual"))
function("gt", "greater", shape=_condition_shape)(_comparison("Greater"))
function("ge", "greater_equal", shape=_condition_shape)(_comparison("GreaterOrEqual"))


def _logical(conditions: str, integers: str) -> Callable[..., Value]:
    def write(g: TracedGraph, out: Tensor, input: Any, other: Any) -> Value:
        operator = conditions if out.dtype == torch.bool else integers
        return g.add(operator, *(g.tensor(side, out.dtype) for side in (input, other)))

    return write


function("and", "rand", "bitwise_and", shape=combined)(_logical("And", "BitwiseAnd"))
function("or", "ror", "bitwise_or", shape=combined)(_logical("Or", "BitwiseOr"))
function("xor", "rxor", "bitwise_xor", shape=combined)(_logical("Xor", "BitwiseXor"))
function("logical_and", shape=_condition_shape)(_logical("And", ""))
function("logical_or", shape=_condition_shape)(_logical("Or", ""))
function("logical_xor", shape=_condition_shape)(_logical("Xor", ""))


@function("invert", "bitwise_not", shape=same)
def _not(g: TracedGraph, out: Tensor, input: Any) -> Value:
    return g.add("Not" if out.dtype == torch.bool else "BitwiseNot", g.tensor(input))


@function("logical_not", shape=lambda input: new(input.shape, torch.bool))
def _logical_not(g: TracedGraph, _: Tensor, input: Any) -> Value:
    return g.add("Not", g.tensor(input, torch.bool))


def _clamp_shape(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    given = [bound for bound in (min, max) if bound is not None]
    dtype = input.dtype
    for bound in given:
        dtype = torch.promote_types(dtype, torch.result_type(input, bound))
    return new(broadcast(input, *given), dtype)


@function("clamp", "clip", shape=_clamp_shape)
def _clamp(g: TracedGraph, out: Tensor, input: Any, min: Any = None, max: Any = None) -> Value:
    x = g.tensor(input, out.dtype)
    bounds = [None if bound is None else g.tensor(bound, out.dtype) for bound in (min, max)]
    if out.dtype.is_floating_point and not any(isinstance(bound, torch.Tensor) for bound in (min, max)):
        return g.add("Clip", x, *bounds)
    for operator, bound in zip(("Max", "Min"), bounds, strict=True):  # engines clip no whole numbers
        x = x if bound is None else g.add(operator, x, bound)
    return x


@function("clamp_min", shape=_clamp_shape)
def _clamp_min(g: TracedGraph, out: Tensor, input: Any, min: Any) -> Value:
    return _clamp(g, out, input, min)


def _where_shape(condition: Tensor, input: Any, other: Any) -> Tensor:
    return new(broadcast(condition, input, other), torch.result_type(input, other))


@function("where", shape=_where_shape)
def _where(g: TracedGraph, out: Tensor, condition: Any, input: Any, other: Any) -> Value:
    return g.where(g.tensor(condition), g.tensor(input, out.dtype), g.tensor(other, out.dtype))


@function("masked_fill", shape=same)
def _masked_fill(g: TracedGraph, out: Tensor, input: Any, mask: Any, value: Any) -> Value:
    return g.where(g.tensor(mask), g.tensor(value, out.dtype), g.tensor(input))


def _cast_shape(input: Tensor, *args: Any, dtype: Any = None, other: Tensor | None = None, **_: Any) -> Tensor:
    for arg in (*args, dtype, other):
        if isinstance(arg, (torch.dtype, torch.Tensor)):
            return new(input.shape, arg if isinstance(arg, torch.dtype) else arg.dtype)
    return same(input)


def _cast(g: TracedGraph, out: Tensor, input: Any, *_: Any, **__: Any) -> Value:
    return g.tensor(input, out.dtype)


def _cast_to(dtype: torch.dtype) -> Callable[..., Tensor]:
    return lambda input, **_: new(input.shape, dtype)


function("to", "type_as", shape=_cast_shape, view=True)(_cast)
function("type", shape=lambda input, dtype: new(input.shape, dtype), view=True)(_cast)
function("float", shape=_cast_to(torch.float32), view=True)(_cast)
function("double", shape=_cast_to(torch.float64), view=True)(_cast)
function("long", shape=_cast_to(torch.int64), view=True)(_cast)
function("int", shape=_cast_to(torch.int32), view=True)(_cast)
function("bool", shape=_cast_to(torch.bool), view=True)(_cast)


def _dropout(
    g: TracedGraph, _: Tensor, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Value:
    del inplace
    if training and p:
        raise UntraceableError("a network in training")
    return g.tensor(input)


function("dropout", "dropout1d", "dropout2d", "feature_dropout", "alpha_dropout", view=True)(_dropout)
