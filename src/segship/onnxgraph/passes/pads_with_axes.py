"""Name the axes of pads before maxima, which keeps ONNX Runtime from taking the two for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

if TYPE_CHECKING:
    import onnx

__all__ = ["pads_with_axes"]

_WITH_AXES = 4  # inputs of a Pad that names its axes
_BESIDE = 2  # axes of a map beside those that are pooled


def pads_with_axes(model: onnx.ModelProto) -> bool:
    """Give each constant ``Pad`` before a ``MaxPool`` its axes: all of them, as without.

    ONNX Runtime merges the two where no axes are named, and then pads with the least number, whatever the value was:
    maxima of negative numbers at the border differ.

    Args:
        model: The model, of opset 18 or later; changed in place.

    Returns:
        Whether a node was rewritten.
    """
    pads = {node.output[0]: node for node in model.graph.node if _is_bare(node)}
    found = [(pads[node.input[0]], node) for node in model.graph.node if _pools(node) and node.input[0] in pads]
    for pad, pool in found:
        rank = _BESIDE + len(next(each.ints for each in pool.attribute if each.name == "kernel_shape"))
        axes = f"{pad.output[0]}_axes"
        given = [*pad.input, ""][: _WITH_AXES - 1]
        pad.input[:] = [*given, axes]
        if axes not in {tensor.name for tensor in model.graph.initializer}:
            model.graph.initializer.append(numpy_helper.from_array(np.arange(rank), axes))
    return bool(found)


def _is_bare(node: onnx.NodeProto) -> bool:
    mode = next((each.s for each in node.attribute if each.name == "mode"), b"constant")
    return node.op_type == "Pad" and mode == b"constant" and len(node.input) < _WITH_AXES


def _pools(node: onnx.NodeProto) -> bool:
    return node.op_type == "MaxPool"
