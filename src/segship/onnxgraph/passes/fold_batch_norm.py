"""Make a convolution and the batch normalisation behind it one convolution."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from segship.onnxgraph.nodes import replace_nodes
from segship.onnxgraph.weights import ArrayWeight, ScaledWeight

if TYPE_CHECKING:
    import onnx

    from segship.onnxgraph.weights import Weight, Weights

__all__ = ["NORMALISED", "fold_batch_norm"]

NORMALISED = ".normalised"
"""What follows the layer's name in the names of its folded weight and bias."""

_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1}  # of a weight, the axis of what comes out


def fold_batch_norm(model: onnx.ModelProto, weights: Weights) -> bool:
    """Fold each normalisation into the convolution before it, where nothing else uses the convolution's result.

    ``scale * (W x + b - mean) + beta`` is a convolution with the weights ``scale * W``.

    Args:
        model: The model without its weights; changed in place.
        weights: Its weights by name; folded ones are added, and computed when they are written.

    Returns:
        Whether a normalisation was folded.
    """
    nodes = list(model.graph.node)
    uses = Counter(name for node in nodes for name in node.input)
    uses.update(output.name for output in model.graph.output)
    makers = {node.output[0]: node for node in nodes}
    kept = []
    for node in nodes:
        layer = makers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if layer is None or uses[layer.output[0]] > 1 or not _can_fold(layer, node, weights):
            kept.append(node)
            continue
        _fold(layer, node, weights)
        makers[node.output[0]] = layer
        layer.output[0] = node.output[0]
    replace_nodes(model.graph, kept)
    return len(kept) < len(nodes)


def _can_fold(layer: onnx.NodeProto, norm: onnx.NodeProto, weights: Weights) -> bool:
    groups = next((attribute.i for attribute in layer.attribute if attribute.name == "group"), 1)
    return (
        layer.op_type in _OUTPUT_AXIS
        and {*layer.input[1:], *norm.input[1:]} <= weights.keys()
        and (groups == 1 or layer.op_type == "Conv")
    )


def _fold(layer: onnx.NodeProto, norm: onnx.NodeProto, weights: Weights) -> None:
    # By numpy, which rounds as the standard says: torch's roots do not, and some networks magnify a last bit.
    gamma, beta, mean, variance = (weights[name].numpy() for name in norm.input[1:])
    (epsilon,) = (attribute.f for attribute in norm.attribute if attribute.name == "epsilon")
    scale = gamma / np.sqrt(variance + np.float32(epsilon))
    weight = weights[layer.input[1]]
    shape = [1] * len(weight.shape)
    shape[_OUTPUT_AXIS[layer.op_type]] = -1
    bias = weights[layer.input[2]].numpy() if len(layer.input) > 2 else np.float32(0)  # noqa: PLR2004
    folded: tuple[Weight, Weight] = (
        ScaledWeight(weight, scale.reshape(shape)),
        ArrayWeight((bias - mean) * scale + beta),
    )
    stem = layer.input[1].removesuffix(".weight")
    for at, (kind, made) in enumerate(zip(("weight", "bias"), folded, strict=True), 1):
        name = _free(f"{stem}{NORMALISED}.{kind}", weights)
        weights[name] = made
        if at < len(layer.input):
            layer.input[at] = name
        else:
            layer.input.append(name)


def _free(name: str, weights: Weights) -> str:
    """``name``, or one like it that is not taken: a layer may be used twice."""
    return name if name not in weights else _free(f"{name}.again", weights)
