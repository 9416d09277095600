"""Write 1 / (1 + exp(-x)) as Sigmoid, which it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper, numpy_helper

from segship.onnxgraph.nodes import replace_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = ["join_sigmoid"]


def join_sigmoid(model: onnx.ModelProto) -> bool:
    """Write the operators of `segship.networks.probability.sigmoid` as one, for chips that compute in float16.

    Its exponential passes what float16 and a scale of int8 can hold, for masks of MaskFormer and Mask2Former; where its
    sum has 16 bits in int8, Qualcomm's compiler finds no memory (error 1002). The negation may lie further up, where
    other operators were exchanged with it: then one more takes it back.

    Args:
        model: Changed in place.

    Returns:
        Whether a node was rewritten.
    """
    graph = model.graph
    ones = {tensor.name for tensor in graph.initializer if _is_one(tensor)}
    writers = {name: node for node in graph.node for name in node.output}
    readers = [name for node in graph.node for name in node.input] + [output.name for output in graph.output]
    joined: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        chain = _chain(node, writers, ones)
        if not chain or any(readers.count(part.output[0]) > 1 for part in chain):
            nodes.append(node)
            continue
        joined.update(part.output[0] for part in chain)
        value = chain[-1].input[0]
        if chain[-1].op_type != "Neg":
            nodes.append(helper.make_node("Neg", [value], [f"{node.output[0]}_turned"], name=f"{node.name}_turned"))
            value = nodes[-1].output[0]
        nodes.append(helper.make_node("Sigmoid", [value], node.output, name=node.name))
    replace_nodes(graph, [node for node in nodes if not joined.intersection(node.output)])
    return bool(joined)


def _chain(node: onnx.NodeProto, writers: Mapping[str, onnx.NodeProto], ones: set[str]) -> list[onnx.NodeProto]:
    """The sum, the exponential and, where it is there, the negation of a quotient; empty where it is none of those."""
    if node.op_type != "Div" or node.input[0] not in ones:
        return []
    found: list[onnx.NodeProto] = []
    name = node.input[1]
    for kind in ("Add", "Exp", "Neg"):
        part = writers.get(name)
        if part is None or part.op_type != kind:
            return found if kind == "Neg" else []
        others = [each for each in part.input if each not in ones]
        if len(others) != 1 or (kind == "Add" and len(part.input) == len(others)):
            return []
        found.append(part)
        name = others[0]
    return found


def _is_one(tensor: onnx.TensorProto) -> bool:
    return not tensor.data_location and not tensor.dims and float(numpy_helper.to_array(tensor)) == 1
