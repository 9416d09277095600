"""Make divisions of sizes round down, as Python's do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, numpy_helper

from segship.onnxgraph.nodes import replace_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["floor_division"]

_PASSED_ON = {"Gather", "Squeeze", "Unsqueeze", "Slice", "Reshape", "Identity"}
_UNKNOWN = -math.inf


def floor_division(model: onnx.ModelProto) -> bool:
    """Mend integer ``Div`` nodes whose dividend may be negative.

    torch's exporter writes Python's ``//`` on sizes as ``Div``, which rounds towards zero. Its algebra also turns
    ``(-(-h // 8) * 8 - h) // 2`` and the like into sums with negative terms, so that a padding comes out one too large
    at some sizes. ``a // b`` is exactly ``Div(a - Mod(a, b), b)``, since ONNX's ``Mod`` has the divisor's sign.

    Args:
        model: The model; changed in place.

    Returns:
        Whether a division was mended.
    """
    least: dict[str, float] = {}  # of values that come from sizes, what they are at least
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.INT64:
            least[tensor.name] = float(numpy_helper.to_array(tensor).min(initial=0x7FFFFFFF))
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        bounds = [least.get(name) for name in node.input]
        known = [bound for bound in bounds if bound is not None]
        if node.op_type == "Div" and len(known) == len(bounds) and min(known) < 0:
            nodes.extend(_rounding_down(node))
        nodes.append(node)
        bound = _least(node, bounds)
        if bound is not None:
            least[node.output[0]] = bound
    mended = len(nodes) > len(model.graph.node)
    replace_nodes(model.graph, nodes)
    return mended


def _rounding_down(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Nodes to stand before ``node``, whose dividend becomes a multiple of the divisor."""
    name, (dividend, divisor) = node.output[0], node.input
    node.input[0] = f"{name}_multiple"
    return [
        helper.make_node("Mod", [dividend, divisor], [f"{name}_rest"], name=f"{name}_rest"),
        helper.make_node("Sub", [dividend, f"{name}_rest"], [f"{name}_multiple"], name=f"{name}_multiple"),
    ]


def _least(node: onnx.NodeProto, bounds: Sequence[float | None]) -> float | None:
    """What the output is at least; None where it is not computed from sizes alone."""
    kind = node.op_type
    if kind == "Shape":
        return 1.0
    if kind == "Constant":
        return _constant(node)
    if kind in _PASSED_ON or (kind == "Cast" and node.attribute[0].i in {TensorProto.INT64, TensorProto.INT32}):
        return bounds[0]
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds):
        return None
    return _arithmetic(kind, known)


def _arithmetic(kind: str, known: Sequence[float]) -> float | None:
    if kind == "Concat":
        return min(known)
    if kind == "Add":
        return sum(known)
    if kind == "Mul":
        return math.prod(known) if min(known) >= 0 else _UNKNOWN
    if kind in {"Div", "Mod"}:
        return 0.0 if min(known) >= 0 else _UNKNOWN
    return _UNKNOWN if kind in {"Sub", "Neg"} else None


def _constant(node: onnx.NodeProto) -> float | None:
    for attribute in node.attribute:
        if attribute.name == "value" and attribute.t.data_type == TensorProto.INT64:
            return float(numpy_helper.to_array(attribute.t).min(initial=0x7FFFFFFF))
        if attribute.name == "value_int":
            return float(attribute.i)
        if attribute.name == "value_ints":
            return float(min(attribute.ints, default=0))
    return None
