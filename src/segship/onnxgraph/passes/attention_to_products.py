"""Write attention as its products, for engines whose own kernel leaves threads idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto

from segship.onnxgraph.attention import attention_products
from segship.onnxgraph.build import Builder, Value
from segship.onnxgraph.nodes import replace_nodes
from segship.onnxgraph.operators import operators_of
from segship.onnxgraph.shapes import shaped_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = ["attention_to_products"]

_MANY_HEADS = 8  # enough for most processors' threads
_SHORT = 256  # tokens; windows of attention have fewer, and so many of them that no thread is idle


def attention_to_products(model: onnx.ModelProto, *, everywhere: bool = False) -> bool:
    """Write attention of few heads over many tokens as two products and a softmax.

    ONNX Runtime computes each head in one thread, so that SegFormer's first stage, of one head, leaves all others idle.

    Args:
        model: The model; changed in place.
        everywhere: Whether attention of many heads, or over few tokens, is written so, too.

    Returns:
        Whether a node was rewritten.
    """
    if "Attention" not in operators_of(model):
        return False
    shapes = _shapes(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        chosen = node.op_type == "Attention" and (
            _is_plain(node, shapes) if everywhere else _leaves_threads_idle(node, shapes)
        )
        nodes += _products(model, node, int(shapes[node.input[0]][3])) if chosen else [node]
    changed = len(nodes) > len(model.graph.node)
    replace_nodes(model.graph, nodes)
    return changed


def _shapes(model: onnx.ModelProto) -> dict[str, list[int | str]]:
    """Sides of the float32 values, by name; numbers where they are known."""
    return {
        value.name: [side.dim_value if side.HasField("dim_value") else side.dim_param for side in sides.dim]
        for value in shaped_values(model)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT and (sides := value.type.tensor_type.shape)
    }


def _leaves_threads_idle(node: onnx.NodeProto, shapes: Mapping[str, list[int | str]]) -> bool:
    """Whether ``node`` is plain attention of few heads over many tokens."""
    if not _is_plain(node, shapes):
        return False
    _, heads, tokens, _ = shapes[node.input[0]]
    return isinstance(heads, int) and heads < _MANY_HEADS and (isinstance(tokens, str) or tokens > _SHORT)


def _is_plain(node: onnx.NodeProto, shapes: Mapping[str, list[int | str]]) -> bool:
    """Whether ``node`` is attention of (batch, heads, tokens, channels), float32, and nothing besides."""
    query, key, value = (shapes.get(name, []) for name in node.input[:3])
    options = {option.name for option in node.attribute if option.i or option.f}  # what is 0 is off
    return (
        len(query) == len(key) == len(value) == 4  # noqa: PLR2004
        and query[1] == key[1] == value[1]
        and isinstance(query[3], int)
        and len(node.output) == 1
        and not any(node.input[3:])
        and options <= {"scale"}
    )


def _products(model: onnx.ModelProto, node: onnx.NodeProto, channels: int) -> list[onnx.NodeProto]:
    """The nodes that stand for ``node``; the scale is added to the model."""
    scale = {option.name: option.f for option in node.attribute}.get("scale") or channels**-0.5
    builder = Builder(node.output[0])
    query, key, value = (Value(builder, name, "float32") for name in node.input[:3])
    attention_products(builder, (query, key, value), 4, scale)
    builder.nodes[-1].output[0] = node.output[0]
    for each in builder.nodes:
        each.name = each.output[0]
    model.graph.initializer.extend(builder.constants.values())
    return builder.nodes
