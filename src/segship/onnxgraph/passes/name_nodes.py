"""Give every node a name of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["name_nodes"]


def name_nodes(model: onnx.ModelProto) -> bool:
    """Name nodes that have no name, or another node's, after what they return.

    Args:
        model: The model; changed in place.

    Returns:
        Whether a node was named.
    """
    taken: set[str] = set()
    named = False
    for node in model.graph.node:
        if not node.name or node.name in taken:
            node.name, named = next(name for name in node.output if name), True
        taken.add(node.name)
    return named
