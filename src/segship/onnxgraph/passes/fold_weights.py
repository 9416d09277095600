"""Weights that a graph cuts or turns before it uses them, as constants: NNCF wants to see the weights themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from segship.onnxgraph.nodes import replace_nodes
from segship.onnxgraph.passes.drop_unused import drop_unused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fold_weights"]

_FOLDED = {"Split", "Slice", "Transpose"}


def fold_weights(model: onnx.ModelProto) -> bool:
    """Replace parts of weights (SegFormer's head applies its last convolution to each map alone) by constants.

    Args:
        model: The model; changed in place. A new constant has the name of the value that it replaces.

    Returns:
        Whether something was folded.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        weight = constants.get(node.input[0]) if node.op_type in _FOLDED else None
        if weight is None or weight.data_type != TensorProto.FLOAT or not constants.keys() >= {*node.input} - {""}:
            kept.append(node)
            continue
        for name, value in zip(node.output, _computed(node, model, constants), strict=True):
            constants[name] = model.graph.initializer.add()
            constants[name].CopyFrom(numpy_helper.from_array(value, name))
    if len(kept) == len(model.graph.node):
        return False
    replace_nodes(model.graph, kept)
    drop_unused(model)
    return True


def _computed(
    node: onnx.NodeProto, model: onnx.ModelProto, constants: dict[str, onnx.TensorProto]
) -> list[NDArray[Any]]:
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output]
    sources = [constants[name] for name in dict.fromkeys(node.input) if name]
    alone = helper.make_model(
        helper.make_graph([node], "part", [], outputs, sources),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    return list(ReferenceEvaluator(alone).run(None, {}))
