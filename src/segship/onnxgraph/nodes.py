"""A graph's nodes: who reads a value, and other nodes in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

__all__ = ["readers_of", "replace_nodes"]


def readers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes that read each value, in their order; one that reads it twice is there twice.

    Args:
        graph: The graph.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return readers


def replace_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> bool:
    """Put nodes in the place of all that a graph has.

    Args:
        graph: Changed in place.
        nodes: In the order in which they are computed; they may be the graph's own.

    Returns:
        Whether their number is another.
    """
    before = len(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return len(nodes) != before
