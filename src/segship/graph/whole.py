"""A graph that ends in the mask: logits resized to the input's size, and decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from segship.graph.program import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx

    from segship.core.spec import ModelSpec

__all__ = ["end_in_mask"]


def end_in_mask(model: onnx.ModelProto, spec: ModelSpec, *, image: str = INPUT, mask: str = "mask") -> None:
    """Turn a graph that returns low-resolution logits into one that returns labels at its input's size, in place.

    Args:
        model: Input ``image`` float32 (N, C, H, W), output ``logits`` float32 (N, K, h, w); opset 13 or later.
        spec: How logits become labels.
        image: New name of the input.
        mask: Name of the new output, int64 (N, 1, H, W).
    """
    graph = model.graph
    _rename_input(graph, image)
    added = _resize(spec, image)
    if spec.output == "sigmoid":
        border = np.float32(np.log(spec.threshold / (1 - spec.threshold)))
        graph.initializer.append(numpy_helper.from_array(np.array(border), "mask.border"))
        added.append(helper.make_node("Greater", ["mask.logits", "mask.border"], ["mask.above"]))
        added.append(helper.make_node("Cast", ["mask.above"], [mask], to=TensorProto.INT64))
    else:
        added.append(helper.make_node("ArgMax", ["mask.logits"], [mask], axis=1, keepdims=1))
    graph.node.extend(added)
    for name, values in (("mask.empty", []), ("mask.two", [2]), ("mask.four", [4]), ("mask.zero", [0])):
        dtype = np.float32 if name == "mask.empty" else np.int64
        graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
    shape = [dim.dim_param or dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(mask, TensorProto.INT64, [shape[0], 1, *shape[2:]]))


def _rename_input(graph: onnx.GraphProto, name: str) -> None:
    for node in graph.node:
        for index, source in enumerate(node.input):
            if source == INPUT:
                node.input[index] = name
    graph.input[0].name = name


def _resize(spec: ModelSpec, image: str) -> list[onnx.NodeProto]:
    mode = "align_corners" if spec.align_corners else "half_pixel"
    return [
        helper.make_node("Shape", [image], ["mask.image"]),
        helper.make_node("Slice", ["mask.image", "mask.two", "mask.four"], ["mask.sides"]),
        helper.make_node("Shape", [OUTPUT], ["mask.cells"]),
        helper.make_node("Slice", ["mask.cells", "mask.zero", "mask.two"], ["mask.kept"]),
        helper.make_node("Concat", ["mask.kept", "mask.sides"], ["mask.size"], axis=0),
        helper.make_node(
            "Resize",
            [OUTPUT, "mask.empty", "mask.empty", "mask.size"],
            ["mask.logits"],
            mode="linear",
            coordinate_transformation_mode=mode,
        ),
    ]
