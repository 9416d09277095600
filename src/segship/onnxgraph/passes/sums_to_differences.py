"""Write a constant that is added behind the product of a constant and a value as one that is subtracted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import numpy_helper

if TYPE_CHECKING:
    import onnx

__all__ = ["sums_to_differences"]


def sums_to_differences(model: onnx.ModelProto) -> bool:
    """Write ``MatMul(constant, x) + c`` as ``MatMul(constant, x) - (-c)``, which is the same bit for bit.

    NNCF (3.4) takes the sum for a layer's bias, looks for the second edge that leads to the product, and ends with
    "list index out of range", because a constant has no edge: SegNeXt's factorisation, whose bases are constant.

    Args:
        model: Changed in place.

    Returns:
        Whether a sum was rewritten.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    products = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[0] in constants and node.input[1] not in constants
    }
    changed = False
    for node in model.graph.node:
        if node.op_type != "Add" or not products.intersection(node.input):
            continue
        added = next((name for name in node.input if name in constants), None)
        if added is None:
            continue
        product = next(name for name in node.input if name in products)
        opposite = f"{node.output[0]}_opposite"
        model.graph.initializer.append(numpy_helper.from_array(-numpy_helper.to_array(constants[added]), opposite))
        node.op_type, node.input[:] = "Sub", [product, opposite]
        changed = True
    return changed
