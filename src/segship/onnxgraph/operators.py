"""Operators of a model: which there are, and which of them are no standard ones, or no layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

__all__ = ["STANDARD_DOMAINS", "foreign_operators", "nodes_of", "operators_of", "products_of_constants", "subgraphs_of"]

_MATRIX = 2  # axes
STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
"""Names of the domain whose operators every engine knows."""


def subgraphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph, then the graphs of its branches and loops, at any depth."""
    graphs = [graph]
    while graphs:
        part = graphs.pop()
        yield part
        for node in part.node:
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else list(attribute.graphs)


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph, those of branches and loops included."""
    for part in subgraphs_of(graph):
        yield from part.node


def operators_of(model: onnx.ModelProto) -> set[str]:
    """Return the names of the operators that a model uses, branches and loops included: ``{"Conv", "Relu"}``."""
    return {node.op_type for node in nodes_of(model.graph)}


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """Return the operators of a model that ONNX's standard does not have, sorted.

    Args:
        model: The model, with its local functions inlined.

    Returns:
        ``"domain::name"`` of each.
    """
    nodes = nodes_of(model.graph)
    return sorted({f"{node.domain}::{node.op_type}" for node in nodes if node.domain not in STANDARD_DOMAINS})


def products_of_constants(model: onnx.ModelProto) -> list[str]:
    """Return the names of products whose constant is no layer's weights: the first factor, or a batch of matrices.

    SegNeXt's factorisation multiplies by its bases so.
    """
    axes = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    products = (node for node in model.graph.node if node.op_type == "MatMul")
    return [node.name for node in products if node.input[0] in axes or axes.get(node.input[1], 0) > _MATRIX]
