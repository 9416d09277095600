"""Move parts of an image that lie in the first axis within an image of their own, for Qualcomm's compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from segship.onnxgraph.nodes import readers_of
from segship.onnxgraph.shapes import sides_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = ["one_batch"]

_AXES = 4


def one_batch(model: onnx.ModelProto) -> bool:
    """Put an axis of one before those of a ``Transpose`` that puts windows of an image together.

    Twins puts windows [3, 5, 7, 7 * 64] together: it swaps the second and third axis and reads [1, 21, 35, 64] in what
    it gets. onnxruntime-qnn 2.7.0 takes the first axis for images of a batch, and cannot place the result (error 1002);
    with [1, 3, 5, 7, 7 * 64] it can.

    Args:
        model: Its shapes known; changed in place.

    Returns:
        Whether a node was rewritten.
    """
    graph, sides, changed = model.graph, sides_of(model), False
    readers = readers_of(graph)
    writers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        around = _reshapes(node, writers, readers) if node.op_type == "Transpose" else None
        if around is not None and _puts_together(node, around[1], sides):
            _lead(graph, around[0], node, sides[node.input[0]])
            changed = True
    return changed


def _reshapes(
    node: onnx.NodeProto, writers: Mapping[str, onnx.NodeProto], readers: Mapping[str, list[onnx.NodeProto]]
) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """The ``Reshape`` before a node and the one after it, where nothing else reads what lies between."""
    before, after = writers.get(node.input[0]), readers.get(node.output[0], [])
    if before is None or len(readers[node.input[0]]) != 1 or len(after) != 1:
        return None
    return (before, after[0]) if before.op_type == after[0].op_type == "Reshape" else None


def _puts_together(node: onnx.NodeProto, after: onnx.NodeProto, sides: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether several parts become one image whose last axis is another."""
    parts, image = sides.get(node.output[0], ()), sides.get(after.output[0], ())
    if len(parts) != _AXES or len(image) != _AXES or _order(node)[0] != 0:
        return False
    return parts[0] > 1 and image[0] == 1 and image[-1] != parts[-1]


def _order(node: onnx.NodeProto) -> list[int]:
    return next((list(each.ints) for each in node.attribute if each.name == "perm"), [3, 2, 1, 0])


def _lead(graph: onnx.GraphProto, before: onnx.NodeProto, node: onnx.NodeProto, sides: tuple[int, ...]) -> None:
    shape, order = f"{node.input[0]}_of_one", [0, *(axis + 1 for axis in _order(node))]
    graph.initializer.append(numpy_helper.from_array(np.array([1, *sides], np.int64), shape))
    before.CopyFrom(helper.make_node("Reshape", [before.input[0], shape], before.output, name=before.name))
    node.CopyFrom(helper.make_node("Transpose", node.input, node.output, name=node.name, perm=order))
