"""Types and shapes of a model's values, found without a copy of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, shape_inference

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["channels_of", "shaped_values", "sides_of"]

_AXES = 4  # of (N, C, H, W)


def shaped_values(model: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    """Yield each value whose type is known, inputs and weights included.

    onnx's own inference copies a model three times. Here weights are only declared; whole numbers are given, because
    shapes are computed from them.

    Args:
        model: The model; it is left as it is.
    """
    graph = model.graph
    sizes = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT64]
    declared = {value.name for value in graph.input} | {tensor.name for tensor in sizes}
    weights = (tensor for tensor in graph.initializer if tensor.name not in declared)
    light = onnx.ModelProto(
        ir_version=max(model.ir_version, 4), opset_import=model.opset_import
    )  # 4: names need no input
    light.graph.name = "light"
    light.graph.node.extend(graph.node)
    light.graph.initializer.extend(sizes)
    light.graph.input.extend(graph.input)
    light.graph.input.extend(helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in weights)
    light.graph.output.extend(graph.output)
    light.graph.value_info.extend(graph.value_info)
    inferred = shape_inference.infer_shapes(light, data_prop=True).graph
    yield from (*inferred.input, *inferred.value_info, *inferred.output)
    yield from (helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in sizes)


def sides_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the sides of each value, by name; 0 where one is not known.

    Args:
        model: The model.
    """
    shapes = ((value.name, value.type.tensor_type.shape.dim) for value in shaped_values(model))
    return {name: tuple(side.dim_value for side in sides) for name, sides in shapes}


def channels_of(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of channels of each value of four axes; 0 where it is not known.

    Args:
        model: The model.
    """
    return {name: sides[1] for name, sides in sides_of(model).items() if len(sides) == _AXES}
