"""The quantised layers of a QDQ graph, and the way back to floating point for some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from segship.onnxgraph.passes.drop_unused import drop_unused

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["quantized_layers", "restore_layers"]

_DEQUANTIZE = "DequantizeLinear"
_BOUNDARIES = (_DEQUANTIZE, "QuantizeLinear")


def quantized_layers(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the layers that compute in integers, additions and resizes as well, in the graph's order.

    Args:
        model: A QDQ graph.
    """
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    return tuple(
        node.name
        for node in model.graph.node
        if node.op_type not in _BOUNDARIES and any(makers.get(name) == _DEQUANTIZE for name in node.input)
    )


def restore_layers(quantized: onnx.ModelProto, original: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """Give layers their floating-point inputs, weights and biases back.

    Args:
        quantized: The QDQ graph of ``original``, with the same node names; it is left as it is.
        original: The float32 graph.
        names: The layers to give back.

    Returns:
        A new graph; quantisation that nothing uses any more is gone from it.
    """
    model = onnx.ModelProto()
    model.CopyFrom(quantized)
    sources = {node.name: node for node in original.graph.node if node.name in names}
    constants = {tensor.name: tensor for tensor in original.graph.initializer}
    added: set[str] = set()
    for node in model.graph.node:
        if node.name not in sources:
            continue
        for index, name in enumerate(sources[node.name].input):
            node.input[index] = _original(name) if name in constants else name
            if name in constants and name not in added:
                tensor = model.graph.initializer.add()
                tensor.CopyFrom(constants[name])
                tensor.name = _original(name)
                added.add(name)
    drop_unused(model)
    return model


def _original(name: str) -> str:
    """A bias keeps its name when it is corrected for quantisation, so the original needs another."""
    return f"{name}.float32"
