"""Write layer normalisation over several axes as one over a single axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper, numpy_helper

from segship.onnxgraph.nodes import replace_nodes
from segship.onnxgraph.shapes import sides_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = ["flat_layer_norm"]


def flat_layer_norm(model: onnx.ModelProto) -> bool:
    """Normalise ``[N, C, 1, 1]`` over its last three axes, as GCNet does, as ``[N, C]`` over the last one.

    Qualcomm's chips take only the latter.

    Args:
        model: Its shapes known; changed in place.

    Returns:
        Whether a node was rewritten.
    """
    graph, sides = model.graph, sides_of(model)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        shape = sides.get(node.input[0], ()) if node.op_type == "LayerNormalization" else ()
        if _is_wide(node, shape) and _has_all(node, shape, weights):
            nodes.extend(_flat(graph, node, shape, weights))
        else:
            nodes.append(node)
    return replace_nodes(graph, nodes)


def _settings(node: onnx.NodeProto) -> dict[str, Any]:
    return {"axis": -1} | {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _axis(node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
    return int(_settings(node)["axis"]) % len(shape)


def _is_wide(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether several axes, all known, are normalised, and nothing but the result is asked for."""
    return bool(shape) and all(shape) and len(node.output) == 1 and _axis(node, shape) < len(shape) - 1


def _has_all(node: onnx.NodeProto, shape: tuple[int, ...], weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether there is a weight for each value that is normalised, and they are constants."""
    size = math.prod(shape[_axis(node, shape) :])
    return all(name in weights and math.prod(weights[name].dims) == size for name in node.input[1:])


def _flat(
    graph: onnx.GraphProto, node: onnx.NodeProto, shape: tuple[int, ...], weights: Mapping[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """A reshape, the normalisation over one axis, and the reshape back."""
    name, axis = node.output[0], _axis(node, shape)
    sizes = {"flat": (*shape[:axis], math.prod(shape[axis:])), "whole": shape}
    for size, sides in sizes.items():
        graph.initializer.append(numpy_helper.from_array(np.array(sides, np.int64), f"{name}_{size}_size"))
    inputs = [f"{name}_flat_input"]
    for each in node.input[1:]:
        inputs.append(f"{name}_{each}")
        flat = graph.initializer.add()
        flat.CopyFrom(weights[each])  # its values may lie in a file beside, and are not needed here
        flat.name, flat.dims[:] = inputs[-1], [sizes["flat"][-1]]
    settings = _settings(node) | {"axis": -1}
    return [
        helper.make_node("Reshape", [node.input[0], f"{name}_flat_size"], [inputs[0]], name=f"{name}_flat"),
        helper.make_node("LayerNormalization", inputs, [f"{name}_flat_output"], name=node.name, **settings),
        helper.make_node("Reshape", [f"{name}_flat_output", f"{name}_whole_size"], [name], name=f"{name}_whole"),
    ]
