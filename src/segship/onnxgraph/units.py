"""The units of a network that change their precision together: a layer with weights, and what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from segship.onnxgraph.shapes import shaped_values

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
__all__ = ["find_units", "rounded", "values_of"]

_HEAVY = {"Attention", "Conv", "ConvTranspose", "Gemm", "MatMul"}
_BEFORE = "image"  # name of the unit of what comes before the first layer
_MOVING = {  # what only moves values, or looks at sizes: nothing is rounded by it
    *("Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Tile"),
    *("Transpose", "Unsqueeze", "Cast", "Pad", "DepthToSpace", "SpaceToDepth"),
}


def find_units(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Group the nodes of a graph.

    Args:
        model: Every node has a name of its own.

    Returns:
        For each layer that has weights or attends, by the name of its node, the names of the nodes of its unit: itself
        and what is computed of it before the next such layer, in the graph's order.
    """
    place: dict[str, tuple[int, str]] = {}  # of each value: how late its unit begins, and which it is
    units: dict[str, list[str]] = {}
    for number, node in enumerate(model.graph.node, start=1):
        before = [place[name] for name in node.input if name in place]
        mine = (number, node.name) if node.op_type in _HEAVY else max(before, default=(0, _BEFORE))
        units.setdefault(mine[1], []).append(node.name)
        place |= dict.fromkeys(node.output, mine)
    return {name: tuple(nodes) for name, nodes in units.items()}


def rounded(model: onnx.ModelProto, nodes: Sequence[str], precision: str) -> onnx.ModelProto:
    """Let some nodes see their inputs as a lower precision would: rounded, and computed with in float32.

    Args:
        model: float32; it is left as it is.
        nodes: Names of the nodes.
        precision: ``"fp16"`` or ``"bf16"``.

    Returns:
        A new model.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    floats, chosen, kept = _floats(model), set(nodes), []
    kind = TensorProto.BFLOAT16 if precision == "bf16" else TensorProto.FLOAT16
    known: dict[str, str] = {}
    for node in copy.graph.node:
        if node.name in chosen and node.op_type not in _MOVING:
            for index, name in enumerate(node.input):
                if name not in floats:
                    continue
                if name not in known:
                    known[name] = f"{name}.{precision}"
                    half = f"{known[name]}.half"
                    kept.append(helper.make_node("Cast", [name], [half], to=kind))
                    kept.append(helper.make_node("Cast", [half], [known[name]], to=TensorProto.FLOAT))
                node.input[index] = known[name]
        kept.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy


def values_of(model: onnx.ModelProto, nodes: Collection[str]) -> tuple[str, ...]:
    """Return the names of the values that some nodes make.

    Args:
        model: The model.
        nodes: Names of the nodes.
    """
    return tuple(value for node in model.graph.node if node.name in nodes for value in node.output)


def _floats(model: onnx.ModelProto) -> set[str]:
    """Names of the float32 values."""
    return {value.name for value in shaped_values(model) if value.type.tensor_type.elem_type == TensorProto.FLOAT}
