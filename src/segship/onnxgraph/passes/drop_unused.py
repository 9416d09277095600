"""Drop the nodes and weights that no output of a model depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.onnxgraph.operators import subgraphs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from segship.onnxgraph.weights import Weights

__all__ = ["drop_unused"]


def drop_unused(model: onnx.ModelProto, weights: Weights | None = None) -> bool:
    """Remove nodes and weights that no output depends on, and the shapes noted for values between.

    Args:
        model: The model, whose nodes stand in an order in which they can run; changed in place.
        weights: Weights that are kept apart from it; unused ones are removed, too.

    Returns:
        Whether a node or a weight was removed.
    """
    graph, weights = model.graph, {} if weights is None else weights
    before = len(graph.node) + len(graph.initializer) + len(weights)
    needed, kept = {output.name for output in graph.output}, []
    for node in reversed(graph.node):  # one way back finds all of them
        if needed.intersection(node.output):
            needed.update(_read(node))
            kept.append(node)
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(initializers)
    for name in weights.keys() - needed:
        del weights[name]
    return len(graph.node) + len(graph.initializer) + len(weights) < before


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the values that a node reads, those that its branches take from outside among them."""
    yield from node.input
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            for part in subgraphs_of(graph):
                yield from (name for inner in part.node for name in inner.input)
                yield from (output.name for output in part.output)
