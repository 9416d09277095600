"""Quantised values from 0 to 255 instead of -128 to 127."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import uses_external_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    _Readers = dict[str, list[tuple[onnx.NodeProto, int]]]

__all__ = ["unsigned_activations"]

_SHIFT = 128
_POINT = 2  # the input of both operators that is the zero point


def unsigned_activations(model: onnx.ModelProto) -> bool:
    """Let values from -128 to 127 lie from 0 to 255; what they mean stays the same bit for bit.

    ONNX Runtime (1.31, 1.32) moves QuantizeLinear and DequantizeLinear over a transposition with a wrong type, and then
    refuses its own graph, where the values have a sign and the operators are of opset 21 or newer. OpenVINO (2026.4)
    computes a convolution wrongly that reads a concatenation of signed values, by a third of their size, and more that
    was not found singly: SegFormer-B0, which concatenates none, keeps 91.0 % of its labels with signs, 99.0 % without.

    Args:
        model: A QDQ graph; changed in place. Only zero points that nothing but pairs of the two operators reads change.

    Returns:
        Whether there were signed values.
    """
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        return False  # a graph within could read what changes
    readers = _readers(model.graph)
    outputs = {value.name for value in model.graph.output}
    signed = [tensor for tensor in model.graph.initializer if _is_signed(tensor)]
    shifted = [tensor for tensor in signed if _is_of_pairs(tensor.name, readers, outputs)]
    for tensor in shifted:
        point = numpy_helper.to_array(tensor).astype(np.int16) + _SHIFT
        tensor.CopyFrom(numpy_helper.from_array(point.astype(np.uint8), tensor.name))
        _declare_unsigned([node for node, _ in readers[tensor.name] if node.op_type == "QuantizeLinear"])
    if shifted:
        del model.graph.value_info[:]  # it repeats the types that changed
    return bool(shifted)


def _readers(graph: onnx.GraphProto) -> _Readers:
    """The operators that take each value, with its place among their inputs."""
    found: _Readers = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            found.setdefault(name, []).append((node, index))
    return found


def _is_signed(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == TensorProto.INT8 and not uses_external_data(tensor)


def _is_of_pairs(point: str, readers: _Readers, outputs: set[str]) -> bool:
    """Whether a zero point belongs to nothing but QuantizeLinear and the DequantizeLinear that read its result."""
    of_point = readers.get(point, [])
    made = {node.output[0] for node, _ in of_point if node.op_type == "QuantizeLinear"}
    of_results = [reader for name in made for reader in readers.get(name, [])]
    others = [node for node, _ in of_point + of_results if node.op_type != "QuantizeLinear"]
    return (
        bool(made)
        and made.isdisjoint(outputs)
        and all(index == _POINT for _, index in of_point)
        and all((node.op_type, index) == ("DequantizeLinear", 0) for node, index in of_results)
        and all(_undoes(node, made, point) for node in others)
    )


def _undoes(node: onnx.NodeProto, made: set[str], point: str) -> bool:
    """Whether an operator makes numbers of quantised values with their zero point."""
    return node.op_type == "DequantizeLinear" and node.input[0] in made and list(node.input)[_POINT:] == [point]


def _declare_unsigned(nodes: Sequence[onnx.NodeProto]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.name == "output_dtype":
                attribute.i = TensorProto.UINT8
