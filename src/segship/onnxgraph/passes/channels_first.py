"""Let a graph whose image or scores have their channels last have them first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper

if TYPE_CHECKING:
    import onnx

__all__ = ["channels_first"]

_PREFIX = "segship_channels_first_"


def channels_first(model: onnx.ModelProto, name: str) -> bool:
    """Put a transpose before an input, or after an output: (N, H, W, C) becomes (N, C, H, W) for who runs the graph.

    Args:
        model: The model; changed in place. The input or output has another name then.
        name: An input or an output of four axes, the channels last.

    Returns:
        True.
    """
    graph = model.graph
    first = f"{_PREFIX}{name}"
    if any(value.name == name for value in graph.input):
        graph.node.insert(0, helper.make_node("Transpose", [first], [name], perm=[0, 2, 3, 1]))
        values = graph.input
    else:
        graph.node.append(helper.make_node("Transpose", [name], [first], perm=[0, 3, 1, 2]))
        values = graph.output
    value = next(value for value in values if value.name == name)
    dims = [dim.dim_value or dim.dim_param or None for dim in value.type.tensor_type.shape.dim]
    if dims:
        dims.insert(1, dims.pop())
    value.CopyFrom(helper.make_tensor_value_info(first, value.type.tensor_type.elem_type, dims or None))
    return True
