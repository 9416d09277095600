"""What the quantised layers of a graph are, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.onnxgraph.passes.restore_layers import quantized_layers

if TYPE_CHECKING:
    import onnx

__all__ = ["kinds_of"]

_WEIGHTED = {"Conv", "ConvTranspose"}


def kinds_of(model: onnx.ModelProto) -> dict[str, str]:
    """Tell the kind of each layer that computes in integers.

    Engines have an integer kernel for some layers of an operator and not for others: it depends on the kernel's size,
    on groups and dilation, and on whether the result is quantised at once or by what follows.

    Args:
        model: A QDQ graph.

    Returns:
        ``"Conv 3x3 depthwise before PRelu"``, by the name of the layer, in the graph's order.
    """
    readers: dict[str, str] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, node.op_type)
    nodes = {node.name: node for node in model.graph.node}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    dequantized = (node for node in model.graph.node if node.op_type == "DequantizeLinear")
    shapes |= {node.output[0]: shapes[node.input[0]] for node in dequantized if node.input[0] in shapes}
    return {name: _kind(nodes[name], readers, shapes) for name in quantized_layers(model)}


def _kind(node: onnx.NodeProto, readers: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> str:
    words = [node.op_type]
    if node.op_type in _WEIGHTED:
        values = {each.name: list(each.ints) or [each.i] for each in node.attribute}
        words.append("x".join(map(str, shapes.get(node.input[1], ())[2:])))
        words += ["grouped"] if values.get("group", [1])[0] > 1 else []
        words += ["dilated"] if max(values.get("dilations", [1])) > 1 else []
    after = readers.get(node.output[0], "")
    return " ".join(words) + (f" before {after}" if after not in {"", "QuantizeLinear"} else "")
