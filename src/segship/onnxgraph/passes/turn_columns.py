"""Turn the column that a product of a matrix and a vector gives into a row, for Qualcomm's compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from segship.onnxgraph.nodes import replace_nodes
from segship.onnxgraph.shapes import sides_of

if TYPE_CHECKING:
    import onnx

__all__ = ["turn_columns"]

_AXES = 3
_SHAPING = {"Reshape", "Squeeze", "Unsqueeze"}


def turn_columns(model: onnx.ModelProto) -> bool:
    """Transpose ``MatMul``'s result [N, M, 1] before it is given another shape, which changes no value's place.

    GCNet sums features so, and makes an image of one cell of them, [1, 512, 1, 1]. onnxruntime-qnn 2.7.0 then computes
    other values on its emulator, off by their size; with a transpose in between they are right.

    Args:
        model: Its shapes known; changed in place.

    Returns:
        Whether a node was rewritten.
    """
    graph, sides = model.graph, sides_of(model)
    products = {node.output[0] for node in graph.node if node.op_type == "MatMul"}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        column = node.input[0] if node.op_type in _SHAPING else ""
        shape = sides.get(node.output[0], ())
        if column in products and _is_column(sides.get(column, ())) and all(shape):
            nodes.extend(_turned(graph, node, shape))
        else:
            nodes.append(node)
    return replace_nodes(graph, nodes)


def _is_column(sides: tuple[int, ...]) -> bool:
    return len(sides) == _AXES and all(sides) and sides[1] > sides[2] == 1


def _turned(graph: onnx.GraphProto, node: onnx.NodeProto, shape: tuple[int, ...]) -> list[onnx.NodeProto]:
    row, size = f"{node.output[0]}_row", f"{node.output[0]}_row_size"
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), size))
    return [
        helper.make_node("Transpose", [node.input[0]], [row], name=row, perm=[0, 2, 1]),
        helper.make_node("Reshape", [row, size], node.output, name=node.name),
    ]
