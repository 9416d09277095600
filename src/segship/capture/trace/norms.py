"""Recorded layers: normalisation folded into them, and their names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from segship.onnxgraph.file import TorchWeight

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from segship.onnxgraph.file import Weights

__all__ = ["fold_norms", "name_layers"]

_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1}  # of a weight, the axis of what comes out


def fold_norms(nodes: Sequence[onnx.NodeProto], weights: Weights) -> list[onnx.NodeProto]:
    """Make a convolution and the normalisation that alone uses it one node.

    Args:
        nodes: Of a graph, in its order; convolutions are changed.
        weights: `TorchWeight` by name; folded ones are added.

    Returns:
        The nodes that are left.
    """
    uses = Counter(name for node in nodes for name in node.input)
    makers = {node.output[0]: node for node in nodes}
    kept = []
    for node in nodes:
        layer = makers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if (
            layer is None
            or layer.op_type not in _OUTPUT_AXIS
            or uses[layer.output[0]] > 1
            or not _known(layer, node, weights)
        ):
            kept.append(node)
            continue
        _fold(layer, node, weights)
        makers[node.output[0]] = layer
        layer.output[0] = node.output[0]
    return kept


def _known(layer: onnx.NodeProto, norm: onnx.NodeProto, weights: Weights) -> bool:
    groups = next((attribute.i for attribute in layer.attribute if attribute.name == "group"), 1)
    return {*layer.input[1:], *norm.input[1:]} <= weights.keys() and (groups == 1 or layer.op_type == "Conv")


def _fold(layer: onnx.NodeProto, norm: onnx.NodeProto, weights: Weights) -> None:
    # By numpy, which rounds as the standard says: torch's roots do not, and some networks magnify a last bit.
    gamma, beta, mean, variance = (weights[name].tensor.numpy() for name in norm.input[1:])
    (epsilon,) = (attribute.f for attribute in norm.attribute if attribute.name == "epsilon")
    scale = gamma / np.sqrt(variance + np.float32(epsilon))
    weight = weights[layer.input[1]]
    shape = [1] * weight.tensor.dim()
    shape[_OUTPUT_AXIS[layer.op_type]] = -1
    bias = weights[layer.input[2]].tensor.numpy() if len(layer.input) > 2 else np.float32(0)
    shift = TorchWeight(torch.from_numpy((bias - mean) * scale + beta))
    folded = TorchWeight(weight.tensor, scale.reshape(shape)), shift
    stem = layer.input[1].removesuffix(".weight")
    for at, (kind, made) in enumerate(zip(("weight", "bias"), folded, strict=True), 1):
        name = _free(f"{stem}.normalised.{kind}", weights)
        weights[name] = made
        if at < len(layer.input):
            layer.input[at] = name
        else:
            layer.input.append(name)


def _free(name: str, weights: Weights) -> str:
    """``name``, or one like it that is not taken: a layer may be used twice."""
    return name if name not in weights else _free(f"{name}.again", weights)


def name_layers(nodes: Sequence[onnx.NodeProto], weights: Weights) -> None:
    """Name layers after their weights, and other nodes after what they return."""
    taken: set[str] = set()
    for node in nodes:
        weight = next((name for name in node.input[1:2] if name in weights), None)
        name = node.output[0]
        if weight is not None:
            name = weight.removesuffix(".weight").removesuffix(".normalised")
        while name in taken:
            name += ".again"
        taken.add(name)
        node.name = name
