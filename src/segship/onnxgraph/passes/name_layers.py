"""Name the nodes of a model as people know its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.onnxgraph.passes.fold_batch_norm import NORMALISED

if TYPE_CHECKING:
    import onnx

    from segship.onnxgraph.weights import Weights

__all__ = ["name_layers"]


def name_layers(model: onnx.ModelProto, weights: Weights) -> bool:
    """Name layers after their weights, and other nodes after what they return; no two get the same name.

    Args:
        model: The model without its weights; changed in place.
        weights: Its weights by name.

    Returns:
        Whether there was a node to name.
    """
    taken: set[str] = set()
    for node in model.graph.node:
        weight = next((name for name in node.input[1:2] if name in weights), None)
        name = node.output[0]
        if weight is not None:
            name = weight.removesuffix(".weight").removesuffix(NORMALISED)
        while name in taken:
            name += ".again"
        taken.add(name)
        node.name = name
    return bool(taken)
