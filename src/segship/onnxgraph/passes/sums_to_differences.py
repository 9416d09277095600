"""Write a constant that is added behind the product of a constant and a value as one that is subtracted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Collection

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
    products = {node.output[0] for node in model.graph.node if _is_product(node, constants)}
    sums = [node for node in model.graph.node if node.op_type == "Add" and _adds(node, products, constants)]
    for node in sums:
        product, added = sorted(node.input, key=lambda name: name in constants)
        opposite = f"{node.output[0]}_opposite"
        model.graph.initializer.append(numpy_helper.from_array(-numpy_helper.to_array(constants[added]), opposite))
        node.op_type, node.input[:] = "Sub", [product, opposite]
    return bool(sums)


def _is_product(node: onnx.NodeProto, constants: Collection[str]) -> bool:
    return node.op_type == "MatMul" and node.input[0] in constants and node.input[1] not in constants


def _adds(node: onnx.NodeProto, products: set[str], constants: Collection[str]) -> bool:
    """Whether it adds a constant to one of the products."""
    return bool(products.intersection(node.input)) and any(name in constants for name in node.input)
