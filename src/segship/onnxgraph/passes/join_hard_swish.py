"""Write HardSigmoid and the product with its own input as HardSwish, which they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from segship.onnxgraph.nodes import readers_of, replace_nodes

if TYPE_CHECKING:
    import onnx

__all__ = ["join_hard_swish"]

_SWISH = {"alpha": np.float32(1 / 6), "beta": np.float32(0.5)}
_DEFAULT = {"alpha": np.float32(0.2), "beta": np.float32(0.5)}


def join_hard_swish(model: onnx.ModelProto) -> bool:
    """Write ``x * HardSigmoid(x)`` as ``HardSwish(x)``, of which ONNX Runtime makes the two when it folds constants.

    onnxruntime-qnn 2.7.0 joins the two itself where the first has a name, and on its emulator of Qualcomm's chips the
    result is off by five times its size in float16; ``HardSwish`` is right.

    Args:
        model: Of opset 14 or newer; changed in place.

    Returns:
        Whether a node was rewritten.
    """
    graph = model.graph
    readers = readers_of(graph)
    kept, joined = {output.name for output in graph.output}, set()
    for node in filter(_is_swish, graph.node):
        product = _product(node, readers.get(node.output[0], []))
        if product is not None and node.output[0] not in kept:
            product.CopyFrom(helper.make_node("HardSwish", node.input, product.output, name=product.name))
            joined.add(node.output[0])
    return replace_nodes(graph, [node for node in graph.node if not joined.intersection(node.output)])


def _is_swish(node: onnx.NodeProto) -> bool:
    if node.op_type != "HardSigmoid":
        return False
    given = {each.name: np.float32(helper.get_attribute_value(each)) for each in node.attribute}
    return _DEFAULT | given == _SWISH


def _product(node: onnx.NodeProto, readers: list[onnx.NodeProto]) -> onnx.NodeProto | None:
    """The only reader of a HardSigmoid, where it multiplies it with its own input."""
    if len(readers) != 1 or readers[0].op_type != "Mul":
        return None
    return readers[0] if {*readers[0].input} == {node.input[0], node.output[0]} else None
