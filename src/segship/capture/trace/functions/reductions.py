"""Reductions along axes, and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.dims import UntraceableError
from segship.capture.trace.meta_shapes import broadcast, new, reduced
from segship.capture.trace.registry import composite, function
from segship.capture.trace.tensors import is_weight

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []


def _reduction(operator: str) -> Callable[..., Value]:
    def write(
        g: TracedGraph, out: Tensor, input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Value:
        del dtype
        x = g.tensor(input, out.dtype)
        dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
        return g.add(operator, x, g.constant([axis % input.dim() for axis in dims], "int64"), keepdims=int(keepdim))

    return write


def _sum_dtype(input: Tensor, dtype: Any) -> torch.dtype:
    """Whole numbers and conditions are counted as int64."""
    counted: torch.dtype = dtype or (input.dtype if input.is_floating_point() else torch.int64)
    return counted


def _sum_shape(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    return reduced(input, dim, keepdim, dtype=_sum_dtype(input, dtype))


function("mean", shape=reduced)(_reduction("ReduceMean"))
function("sum", shape=_sum_shape)(_reduction("ReduceSum"))
function("prod", shape=_sum_shape)(_reduction("ReduceProd"))
function("amax", shape=reduced)(_reduction("ReduceMax"))
function("amin", shape=reduced)(_reduction("ReduceMin"))


@composite("is_all_true")
def _is_all_true(_: Any) -> torch.Tensor:
    """What torch asks of a condition that a module states: it holds, as the module was checked when it was run."""
    return torch.ones((), dtype=torch.bool)


def _norm_shape(input: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    return reduced(input, dim, keepdim, dtype=dtype)


@function("linalg_vector_norm", shape=_norm_shape)
def _vector_norm(
    g: TracedGraph, out: Tensor, input: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *,
    dtype: Any = None,
) -> Value:  # fmt: skip
    if ord not in {1, 2}:
        raise UntraceableError(f"a norm of order {ord}")
    return _reduction(f"ReduceL{ord:.0f}")(g, out, input, dim, keepdim)


@composite("norm")
def _norm(input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    return torch.linalg.vector_norm(input, 2 if p == "fro" else p, dim, keepdim, dtype=dtype)


@composite("normalize")
def _normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Any:
    return input / torch.linalg.vector_norm(input, p, dim, keepdim=True).clamp_min(eps)


def _softmax_shape(input: Tensor, dim: Any = None, dtype: Any = None, **_: Any) -> Tensor:
    return new(input.shape, dtype or input.dtype)


@function("softmax", shape=_softmax_shape)
def _softmax(g: TracedGraph, out: Tensor, input: Any, dim: int, dtype: Any = None, **_: Any) -> Value:
    del dtype
    return g.add("Softmax", g.tensor(input, out.dtype), axis=dim % input.dim())


@function("cumsum", shape=lambda input, dim, dtype=None: new(input.shape, _sum_dtype(input, dtype)))
def _cumsum(g: TracedGraph, out: Tensor, input: Any, dim: int, dtype: Any = None) -> Value:
    del dtype
    return g.add("CumSum", g.tensor(input, out.dtype), g.number(dim % input.dim(), "int64"))


def _product_shape(input: Tensor, other: Tensor) -> Tensor:
    left, right = (list(side.shape) for side in (input, other))
    if len(left) < 2 or len(right) < 2:
        return torch.matmul(input, other)
    if left[-1] != right[-2]:
        raise RuntimeError(f"{left} cannot be multiplied with {right}")
    batch = broadcast(*(new(side[:-2], input.dtype) for side in (left, right)))
    return new((*batch, left[-2], right[-1]), torch.result_type(input, other))


@function("matmul", "bmm", shape=_product_shape)
def _matmul(g: TracedGraph, out: Tensor, input: Any, other: Any) -> Value:
    return g.add("MatMul", g.tensor(input, out.dtype), g.tensor(other, out.dtype))


def _linear_shape(input: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    return new((*input.shape[:-1], weight.shape[0]), input.dtype)


@function("linear", shape=_linear_shape)
def _linear(g: TracedGraph, _: Tensor, input: Any, weight: Any, bias: Any = None) -> Value:
    x = g.tensor(input)
    if not is_weight(weight):
        raise UntraceableError("a weight that is computed")
    if input.dim() == 2:
        return g.add("Gemm", x, *(g.tensor(part) for part in (weight, bias) if part is not None), transB=1)
    product = g.add("MatMul", x, g.tensor(g.transposed_weight(weight)))
    return product if bias is None else g.add("Add", product, g.tensor(bias))


def _einsum_shape(equation: str, *operands: Any) -> Tensor:
    terms, _, result = equation.replace(" ", "").partition("->")
    sides = {
        letter: side
        for term, operand in zip(terms.split(","), operands, strict=True)
        for letter, side in zip(term, operand.shape, strict=True)
    }
    return new((sides[letter] for letter in result), operands[0].dtype)


@function("einsum", shape=_einsum_shape)
def _einsum(g: TracedGraph, _: Tensor, equation: str, *operands: Any) -> Value:
    if "->" not in equation or "." in equation:
        raise UntraceableError("a product of sums that does not name its axes")
    return g.add("Einsum", *map(g.tensor, operands), equation=equation.replace(" ", ""))
