"""Functions of torch that compute number by number, reductions and products.

Each function takes the `Record`, the result for the first example, and the arguments of torch's function under torch's
names; it returns where the result is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.arguments import plain
from segship.capture.trace.tensors import Recorded, UnrecordedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.capture.trace.tensors import Record
    from segship.onnxgraph.build import Value

__all__ = ["ARITHMETIC"]

_GELU = 20  # the first opset that has it


def _elementwise(operator: str, **attributes: Any) -> Callable[..., Value]:
    def apply(r: Record, _: torch.Tensor, input: Any) -> Value:
        return r.add(operator, r.tensor(input), **attributes)

    return apply


def _arithmetic(operator: str, *, swapped: bool = False) -> Callable[..., Value]:
    def apply(r: Record, out: torch.Tensor, input: Any, other: Any, *, alpha: float = 1) -> Value:
        left, right = (r.tensor(side, out.dtype) for side in (input, other))
        if alpha != 1:
            right = r.add("Mul", right, r.tensor(alpha, out.dtype))
        return r.add(operator, right, left) if swapped else r.add(operator, left, right)

    return apply


def _rsub(r: Record, out: torch.Tensor, input: Any, other: Any, *, alpha: float = 1) -> Value:
    return _arithmetic("Sub")(r, out, other, input, alpha=alpha)


def _comparison(operator: str, *, negated: bool = False) -> Callable[..., Value]:
    def apply(r: Record, _: torch.Tensor, input: Any, other: Any) -> Value:
        dtype = torch.result_type(*(plain(side) for side in (input, other)))
        found = r.add(operator, r.tensor(input, dtype), r.tensor(other, dtype), dtype="bool")
        return r.add("Not", found) if negated else found

    return apply


def _logical(condition: str, integers: str) -> Callable[..., Value]:
    def apply(r: Record, out: torch.Tensor, input: Any, other: Any) -> Value:
        operator = condition if out.dtype == torch.bool else integers
        return r.add(operator, *(r.tensor(side, out.dtype) for side in (input, other)))

    return apply


def _not(r: Record, out: torch.Tensor, input: Any) -> Value:
    return r.add("Not" if out.dtype == torch.bool else "BitwiseNot", r.tensor(input))


def _pow(r: Record, out: torch.Tensor, input: Any, exponent: Any) -> Value:
    base = r.tensor(input, out.dtype)
    if isinstance(exponent, (int, float)) and exponent == 2:
        return r.add("Mul", base, base)
    return r.add("Pow", base, r.tensor(exponent, out.dtype))


def _square(r: Record, _: torch.Tensor, input: Any) -> Value:
    x = r.tensor(input)
    return r.add("Mul", x, x)


def _clamp(r: Record, out: torch.Tensor, input: Any, min: Any = None, max: Any = None) -> Value:
    x = r.tensor(input, out.dtype)
    bounds = [None if bound is None else r.tensor(bound, out.dtype) for bound in (min, max)]
    if out.dtype.is_floating_point and not any(isinstance(bound, (torch.Tensor, Recorded)) for bound in (min, max)):
        return r.add("Clip", x, *bounds)
    for operator, bound in zip(("Max", "Min"), bounds, strict=True):  # engines clip no whole numbers
        x = x if bound is None else r.add(operator, x, bound)
    return x


def _hardtanh(r: Record, out: torch.Tensor, input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Value:
    return _clamp(r, out, input, min_val, max_val)


def _relu6(r: Record, out: torch.Tensor, input: Any) -> Value:
    return _clamp(r, out, input, 0.0, 6.0)


def _leaky_relu(r: Record, _: torch.Tensor, input: Any, negative_slope: float = 0.01) -> Value:
    return r.add("LeakyRelu", r.tensor(input), alpha=float(negative_slope))


def _elu(r: Record, _: torch.Tensor, input: Any, alpha: float = 1.0) -> Value:
    return r.add("Elu", r.tensor(input), alpha=float(alpha))


def _prelu(r: Record, _: torch.Tensor, input: Any, weight: Any) -> Value:
    if not isinstance(weight, torch.Tensor):
        raise UnrecordedError("a slope that is computed")
    return r.add("PRelu", r.tensor(input), r.tensor(weight.reshape(1, -1, *[1] * (input.dim() - 2))))


def _silu(r: Record, _: torch.Tensor, input: Any) -> Value:
    x = r.tensor(input)
    return r.add("Mul", x, r.add("Sigmoid", x))


def _gelu(r: Record, _: torch.Tensor, input: Any, *, approximate: str = "none") -> Value:
    x = r.tensor(input)
    if r.opset is None or r.opset >= _GELU:
        return r.add("Gelu", x, approximate=approximate)
    if approximate != "none":
        raise UnrecordedError("the approximate GELU below opset 20")
    inner = r.add("Erf", r.add("Div", x, r.number(math.sqrt(2), x.dtype)))
    return r.add("Mul", r.add("Mul", x, r.add("Add", inner, r.number(1, x.dtype))), r.number(0.5, x.dtype))


def _softmax(r: Record, out: torch.Tensor, input: Any, dim: int, dtype: Any = None, **_: Any) -> Value:
    del dtype
    return r.add("Softmax", r.tensor(input, out.dtype), axis=dim % input.dim())


def _reduction(operator: str) -> Callable[..., Value]:
    def apply(r: Record, out: Any, input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
        del dtype
        if not isinstance(out, torch.Tensor):
            raise UnrecordedError("a reduction of several results")
        x = r.tensor(input, out.dtype)
        dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
        return r.add(operator, x, r.constant([axis % input.dim() for axis in dims], "int64"), keepdims=int(keepdim))

    return apply


def _matmul(r: Record, out: torch.Tensor, input: Any, other: Any) -> Value:
    return r.add("MatMul", r.tensor(input, out.dtype), r.tensor(other, out.dtype))


def _cast(r: Record, out: torch.Tensor, input: Any, *_: Any, **__: Any) -> Value:
    return r.tensor(input, out.dtype)


def _where(r: Record, out: torch.Tensor, condition: Any, input: Any, other: Any) -> Value:
    return r.where(r.tensor(condition), r.tensor(input, out.dtype), r.tensor(other, out.dtype))


def _masked_fill(r: Record, out: torch.Tensor, input: Any, mask: Any, value: Any) -> Value:
    return r.where(r.tensor(mask), r.tensor(value, out.dtype), r.tensor(input))


ARITHMETIC: dict[str, Callable[..., Value]] = {
    "relu": _elementwise("Relu"),
    "sigmoid": _elementwise("Sigmoid"),
    "tanh": _elementwise("Tanh"),
    "exp": _elementwise("Exp"),
    "log": _elementwise("Log"),
    "sqrt": _elementwise("Sqrt"),
    "abs": _elementwise("Abs"),
    "neg": _elementwise("Neg"),
    "sin": _elementwise("Sin"),
    "cos": _elementwise("Cos"),
    "erf": _elementwise("Erf"),
    "floor": _elementwise("Floor"),
    "ceil": _elementwise("Ceil"),
    "round": _elementwise("Round"),
    "softplus": _elementwise("Softplus"),
    "hardswish": _elementwise("HardSwish"),
    "hardsigmoid": _elementwise("HardSigmoid", alpha=1 / 6, beta=0.5),
    "add": _arithmetic("Add"),
    "sub": _arithmetic("Sub"),
    "mul": _arithmetic("Mul"),
    "div": _arithmetic("Div"),
    "rsub": _rsub,
    "rdiv": _arithmetic("Div", swapped=True),
    "pow": _pow,
    "rpow": _arithmetic("Pow", swapped=True),
    "square": _square,
    "minimum": _arithmetic("Min"),
    "maximum": _arithmetic("Max"),
    "eq": _comparison("Equal"),
    "ne": _comparison("Equal", negated=True),
    "lt": _comparison("Less"),
    "le": _comparison("LessOrEqual"),
    "gt": _comparison("Greater"),
    "ge": _comparison("GreaterOrEqual"),
    "and": _logical("And", "BitwiseAnd"),
    "or": _logical("Or", "BitwiseOr"),
    "xor": _logical("Xor", "BitwiseXor"),
    "invert": _not,
    "clamp": _clamp,
    "hardtanh": _hardtanh,
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "prelu": _prelu,
    "silu": _silu,
    "gelu": _gelu,
    "softmax": _softmax,
    "mean": _reduction("ReduceMean"),
    "sum": _reduction("ReduceSum"),
    "amax": _reduction("ReduceMax"),
    "amin": _reduction("ReduceMin"),
    "matmul": _matmul,
    "bmm": _matmul,
    "where": _where,
    "masked_fill": _masked_fill,
    "to": _cast,
    "float": _cast,
    "double": _cast,
    "long": _cast,
    "int": _cast,
    "bool": _cast,
}
"""Functions by the names torch gives them."""
