"""Write PReLU as a product and a maximum, for engines whose own kernel is slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from segship.onnxgraph.nodes import replace_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["prelu_to_max"]


def prelu_to_max(model: onnx.ModelProto) -> bool:
    """Write ``PRelu`` as ``max(x, slope * x)``, the same bit for bit for finite x where no slope is above 1.

    ONNX Runtime's kernel takes a quarter of CGNet's time, these two an eighth. In a quantised graph that holds for
    slopes that are not quantised: it has no kernel of integers for any of the three.

    Args:
        model: The model; changed in place.

    Returns:
        Whether a node was rewritten.
    """
    slopes = {tensor.name for tensor in model.graph.initializer if _is_at_most_one(tensor)}
    nodes = [new for node in model.graph.node for new in _rewritten(node, slopes)]
    changed = len(nodes) > len(model.graph.node)
    replace_nodes(model.graph, nodes)
    return changed


def _rewritten(node: onnx.NodeProto, slopes: set[str]) -> Iterator[onnx.NodeProto]:
    if node.op_type != "PRelu" or node.input[1] not in slopes:
        yield node
        return
    scaled = f"{node.output[0]}_scaled"
    yield helper.make_node("Mul", node.input, [scaled], name=scaled)
    yield helper.make_node("Max", [node.input[0], scaled], node.output, name=node.name)


def _is_at_most_one(tensor: onnx.TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT or uses_external_data(tensor):
        return False
    return bool((numpy_helper.to_array(tensor) <= 1).all())
