"""Which values the output of a model of OpenVINO can have: `segship.onnxgraph.ranges` in OpenVINO's words."""

from __future__ import annotations

from typing import Any

import numpy as np

from segship.onnxgraph.ranges import ANY, Range, range_after, range_of

__all__ = ["output_range"]

_DEPTH = 64
_NAMES = {
    "Softmax": "Softmax", "SoftMax": "Softmax", "HSigmoid": "HardSigmoid", "SoftPlus": "Softplus",
    "GreaterEqual": "GreaterOrEqual", "LessEqual": "LessOrEqual", "NotEqual": "Equal", "LogicalNot": "Not",
    "LogicalAnd": "And", "LogicalOr": "Or", "LogicalXor": "Xor", "Ceiling": "Ceil", "StridedSlice": "Slice",
    "VariadicSplit": "Split", "Broadcast": "Expand", "AvgPool": "AveragePool", "Maximum": "Max", "Minimum": "Min",
    "Subtract": "Sub", "Negative": "Neg", "Multiply": "Mul", "Divide": "Div", "ReLU": "Relu", "Select": "Where",
    "Result": "Identity",
}  # fmt: skip


def output_range(model: Any) -> Range:
    """Return the range of a model's only output.

    Args:
        model: An ``openvino.Model``.
    """
    return _range(model.outputs[0].node.input_value(0), _DEPTH, {})


def _range(value: Any, depth: int, known: dict[tuple[str, int], Range]) -> Range:
    key = (value.node.get_name(), value.index)
    if key not in known:
        known[key] = ANY  # while its inputs are looked at
        known[key] = _found(value, depth, known)
    return known[key]


def _found(value: Any, depth: int, known: dict[tuple[str, int], Range]) -> Range:
    node = value.node
    kind = node.get_type_name()
    if kind == "Constant":
        small = np.prod(node.get_output_shape(0)) <= _SMALL and value.element_type.to_dtype().kind in "fiub"
        return range_of(np.asarray(node.data)) if small else ANY
    operator = _specific(node, kind, value)
    if depth == 0 or not operator:
        return ANY
    inputs = [_range(each, depth - 1, known) for each in node.input_values()]
    if kind == "Clamp":
        low, high = (node.get_attributes()[name] for name in ("min", "max"))
        inputs += [Range(low, low), Range(high, high)]
    return range_after(operator, inputs)


_SMALL = 4096


def _specific(node: Any, kind: str, value: Any) -> str:
    """The name by which `range_after` knows what the node does; empty where it does not."""
    if kind == "Interpolate":
        mode = str(node.get_attributes().get("mode", ""))
        return "ResizeNearest" if mode == "nearest" else "ResizeLinear" if mode.startswith("linear") else ""
    if kind == "Convert":
        return "Cast" if value.element_type.is_real() else "CastWhole"
    if kind in {"TopK", "MaxPool"}:
        return "ArgMax" if value.index else "Identity" if kind == "MaxPool" else ""
    return "Clip" if kind == "Clamp" else _NAMES.get(kind, kind)
